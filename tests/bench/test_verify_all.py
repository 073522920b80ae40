import verify_all


def form(name, status="ok", **seen):
    seen = {"probabilities": 1.2e-6, "num_other_answers": 0, "num_within_margin": 0, "num_images": 128} | seen
    return {"form": name, "status": status, "difference": seen}


def test_a_row_has_a_cell_a_form_and_says_what_is_not_ok():
    forms = [form("eager"), form("resumed"), form("int8", num_other_answers=5, num_within_margin=3)]
    assert verify_all.table_row({"run": "sprint", "forms": forms}) == "| `sprint` | 1e-06 | same bits | 2 of 128 |"
    forms = [form("bf16", "differs", probabilities=0.3), form("reloaded", "differs"), form("onnx", "skipped")]
    forms += [{"form": "server", "status": "differs", "difference": None}]
    assert (
        verify_all.table_row({"run": "x", "forms": forms}) == "| `x` | 3e-01, differs | differs | skipped | differs |"
    )
