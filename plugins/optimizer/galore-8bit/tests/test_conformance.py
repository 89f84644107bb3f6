from ft.conformance import conformance

test = conformance("ft-optimizer-galore-8bit")
