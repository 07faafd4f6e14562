"""The session encoder: causal, deaf to padding, learnable, the same in ONNX; and its loss against the plain one."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

from training_jobs.next_item.encoder import (
    LONGEST,
    EncoderSettings,
    SessionEncoder,
    encode,
    sampled_softmax_loss,
    to_onnx,
)
from training_jobs.next_item.encoder_training import Sequences, TrainingSettings, new_encoder, one_cycle, train_encoder
from training_jobs.onnx_models import TrainingFailed

COUNT = 30
SMALL = EncoderSettings(width=16, hidden=32)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def sequences_of(sessions: list[list[int]]) -> Sequences:
    offsets = np.concatenate([[0], np.cumsum([len(session) for session in sessions])]).astype(np.int64)
    return Sequences(offsets, np.array([row for session in sessions for row in session], np.int32))


def cycles(count: int) -> Sequences:
    """Sessions that always go from item n to n + 1."""
    starts = np.random.default_rng(2).integers(0, COUNT, count)
    return sequences_of([[(start + step) % COUNT for step in range(4)] for start in starts])


def trained(seed: int = 1) -> tuple[SessionEncoder, list[tuple[int, float]]]:
    encoder = new_encoder(COUNT, SMALL, seed=seed)
    run = train_encoder(
        encoder, cycles(600), TrainingSettings(epochs=40, targets=192, negatives=64, peak_rate=0.02, seed=seed)
    )
    return encoder, run.curve


def test_a_vector_depends_only_on_what_came_before() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1).eval()

    longer = encoder(torch.tensor([[3, 4, 5, 6]]))
    shorter = encoder(torch.tensor([[3, 4]]))

    assert torch.allclose(longer[:, :2], shorter, atol=1e-6)


def test_unknown_items_and_padding_are_passed_over() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)

    vectors = encode(encoder, [[3, 4], [-1, 3, -1, 4], [3, 4, -1, -1], [], [-1]])

    assert vectors[1] == pytest.approx(vectors[0], abs=1e-6)
    assert vectors[2] == pytest.approx(vectors[0], abs=1e-6)
    assert (vectors[3:] == 0).all()
    assert np.linalg.norm(vectors[0]) == pytest.approx(1.0, abs=1e-5)


def test_only_the_newest_items_are_read() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)
    newest = [n % COUNT for n in range(LONGEST)]

    vectors = encode(encoder, [[7, 9, 7, *newest], newest])

    assert vectors[0] == pytest.approx(vectors[1], abs=1e-6)


def test_a_session_of_one_item_is_that_item() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)

    assert encode(encoder, [[5]])[0] == pytest.approx(encoder.item_vectors()[5].detach().numpy(), abs=1e-6)


def test_onnx_agrees_with_torch_for_any_length() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)
    session = ort.InferenceSession(to_onnx(encoder), providers=["CPUExecutionProvider"])

    for rows in ([4], [1, 2, 3], [-1, 5, -1, 6], [-1, -1], [n % COUNT for n in range(57)]):
        served = session.run(None, {"items": np.array([rows], np.int64)})[0]
        assert served.shape == (1, SMALL.width)
        assert np.abs(served - encode(encoder, [rows])).max() <= 1e-4


def test_training_learns_what_comes_next() -> None:
    encoder, curve = trained()

    vectors = encode(encoder, [[n, (n + 1) % COUNT] for n in range(COUNT)])  # (I, E)
    best = (vectors @ encoder.item_vectors().detach().numpy().T).argsort(axis=1)[:, ::-1]

    expected = (np.arange(COUNT) + 2) % COUNT
    assert (best[:, :3] == expected[:, None]).any(axis=1).mean() > 0.9
    assert curve[-1][1] < curve[0][1]


def test_the_same_seed_trains_the_same_encoder() -> None:
    def weights(seed: int) -> Tensor:
        encoder = new_encoder(COUNT, SMALL, seed=seed)
        train_encoder(encoder, cycles(200), TrainingSettings(epochs=2, targets=192, negatives=64, seed=seed))
        return encoder.items.weight

    first, second, other = weights(1), weights(1), weights(2)

    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_seconds_of_cpu_end_the_training_early() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)

    run = train_encoder(encoder, cycles(2000), TrainingSettings(epochs=10_000, seconds=0.5, targets=96, negatives=64))

    assert run.epochs < 10_000
    assert run.cpu_seconds < 10


def test_sessions_without_a_next_item_train_nothing() -> None:
    run = train_encoder(new_encoder(COUNT, SMALL, seed=1), sequences_of([[1], [2], []]), TrainingSettings())

    assert run.steps == 0


def test_a_loss_that_is_not_a_number_ends_the_training_and_names_the_step() -> None:
    encoder = new_encoder(COUNT, SMALL, seed=1)
    with torch.no_grad():
        encoder.query.weight.fill_(torch.nan)
    with pytest.raises(TrainingFailed, match="batch 1 of the session encoder: the loss is nan"):
        train_encoder(encoder, cycles(20), TrainingSettings(epochs=1, targets=16, negatives=8))


def test_the_rate_rises_and_falls_once() -> None:
    rates = [one_cycle(step / 100) for step in range(101)]

    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 10
    assert rates[0] < 0.1 and rates[-1] < 0.01


def plain_loss(
    vectors: Tensor, negatives: Tensor, positive: Tensor, *, target: Tensor, drawn: Tensor, log_expected: Tensor
) -> Tensor:
    logits = (vectors @ negatives.T - log_expected).masked_fill(target.unsqueeze(1) == drawn, -1e9)
    return (torch.logaddexp(logits.logsumexp(dim=1), positive) - positive).mean()


@pytest.mark.parametrize("count", [1, 7, 300])
def test_the_sampled_softmax_and_its_gradient_equal_the_plain_form(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # exact products
    generator = torch.Generator().manual_seed(count)
    vectors, negatives = torch.randn(count, 8, generator=generator), torch.randn(50, 8, generator=generator)
    positive, log_expected = torch.randn(count, generator=generator), torch.randn(50, generator=generator)
    target, drawn = (
        torch.randint(0, 20, (count,), generator=generator),
        torch.randint(0, 20, (50,), generator=generator),
    )
    ours = [part.clone().requires_grad_() for part in (vectors, negatives, positive)]
    plain = [part.clone().requires_grad_() for part in (vectors, negatives, positive)]

    loss = sampled_softmax_loss(*ours, target=target, drawn=drawn, log_expected=log_expected)
    expected = plain_loss(plain[0], plain[1], plain[2], target=target, drawn=drawn, log_expected=log_expected)
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]

    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, theirs in zip(ours, plain, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-5)
