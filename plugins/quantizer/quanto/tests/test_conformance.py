from ft.conformance import conformance

test = conformance("ft-quantizer-quanto")
