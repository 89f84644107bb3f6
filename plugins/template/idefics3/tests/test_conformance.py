from ft.conformance import conformance

test = conformance("ft-template-idefics3")
