from ft.conformance import conformance

test = conformance("ft-adapter-llama-pro")
