from ft.conformance import conformance

test = conformance("ft-optimizer-adamw-4bit")
