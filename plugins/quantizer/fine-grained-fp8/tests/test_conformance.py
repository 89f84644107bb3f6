from ft.conformance import conformance

test = conformance("ft-quantizer-fine-grained-fp8")
