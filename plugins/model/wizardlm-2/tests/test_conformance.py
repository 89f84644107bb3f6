from ft.conformance import conformance

test = conformance("ft-model-wizardlm-2")
