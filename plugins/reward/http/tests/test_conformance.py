from ft.conformance import conformance

test = conformance("ft-reward-http")
