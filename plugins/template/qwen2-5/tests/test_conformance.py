from ft.conformance import conformance

test = conformance("ft-template-qwen2-5")
