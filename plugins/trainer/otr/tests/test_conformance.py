from ft.conformance import conformance

test = conformance("ft-trainer-otr")
