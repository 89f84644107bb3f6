from ft.conformance import conformance

test = conformance("ft-optimizer-lora-fa")
