from ft.conformance import conformance

test = conformance("ft-dataset-similar")
