from ft.conformance import conformance

test = conformance("ft-source-hub")
