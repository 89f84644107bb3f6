from ft.conformance import conformance

test = conformance("ft-adapter-relora")
