from ft.conformance import conformance

test = conformance("ft-template-granite-3")
