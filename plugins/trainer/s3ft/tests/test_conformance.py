from ft.conformance import conformance

test = conformance("ft-trainer-s3ft")
