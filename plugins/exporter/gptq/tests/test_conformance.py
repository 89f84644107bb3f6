from ft.conformance import conformance

test = conformance("ft-exporter-gptq")
