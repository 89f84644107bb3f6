from ft.conformance import conformance

test = conformance("ft-model-qwen2-5-omni")
