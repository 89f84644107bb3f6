def test_smoke(world):
    resolved = world.resolve("model: ./tiny\ndata: train.jsonl\nadapter: lora\ntrainer: sft\n")
    from ft.recipe.write import write_resolved
    text = write_resolved(resolved)
    print(text)
    print(world.heard.said)
    again = world.resolve(text, name="again.yaml")
    assert {k: s.value for k,s in resolved.settings.items()} == {k: s.value for k,s in again.settings.items()}
