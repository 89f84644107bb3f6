from ft.conformance import conformance

test = conformance("ft-kernel-offload")
