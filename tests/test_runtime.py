import torch

from podium import runtime


def test_a_stream_depends_on_its_key_alone():
    torch.manual_seed(1)
    first = torch.rand(4, generator=runtime.random_stream(0, "order", 3))
    torch.manual_seed(2)
    assert torch.equal(first, torch.rand(4, generator=runtime.random_stream(0, "order", 3)))
    assert not torch.equal(first, torch.rand(4, generator=runtime.random_stream(0, "order", 4)))
    assert not torch.equal(first, torch.rand(4, generator=runtime.random_stream(1, "order", 3)))


def test_isolated_seed_puts_the_global_generator_back():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with runtime.isolated_seed(0, "x"):
        one = torch.rand(3)
    assert torch.equal(before, torch.get_rng_state())
    with runtime.isolated_seed(0, "x"):
        assert torch.equal(one, torch.rand(3))


def test_precision_is_as_asked():
    assert runtime.prepare("fp32", device="cpu").compute_dtype == torch.float32
    chosen = runtime.prepare("bf16", device="cpu", num_threads=1)
    assert (chosen.compute_dtype, chosen.num_threads) == (torch.bfloat16, 1)
    with chosen.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_manifest_facts_are_plain():
    facts = runtime.describe_hardware(runtime.prepare("fp32", device="cpu"))
    assert facts["device"] == "cpu"
    assert facts["num_threads"] >= 1
    assert set(runtime.describe_versions()) == {"python", "podium", "torch", "numpy"}


def test_threads_are_the_cores_share_unless_the_user_says(monkeypatch):
    monkeypatch.setattr(runtime, "num_usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [runtime.default_threads(size) for size in (1, 2, 3, 9)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert runtime.default_threads(1) is None  # the user's word
    assert runtime.default_threads(2) == 4  # torchrun's
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert runtime.default_threads(2) is None
