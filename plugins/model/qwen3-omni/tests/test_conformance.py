from ft.conformance import conformance

test = conformance("ft-model-qwen3-omni")
