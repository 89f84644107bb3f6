from ft.conformance import conformance

test = conformance("ft-adapter-mixture-of-depths")
