"""What registries say: published plugins, curated sets, advisories. Data, read and merged."""
