from ft.conformance import conformance

test = conformance("ft-tracker-tensorboard")
