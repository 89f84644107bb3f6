from ft.conformance import conformance

test = conformance("ft-source-local")
