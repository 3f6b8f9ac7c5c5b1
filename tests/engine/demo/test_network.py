"""Gradients of the hand-written functions, the router's balance, and bf16 against float32."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from engine.demo.batches import Documents, pack
from engine.demo.experts import expert_nets
from engine.demo.muon import orthogonalise
from engine.demo.norm import rms_norm
from engine.demo.objective import losses
from tests.engine.demo.made import made_documents, small_network


def test_norm_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-6), (x, weight))
    plain = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight
    assert torch.allclose(rms_norm(x, weight, 1e-6), plain)


def test_expert_gradients() -> None:
    torch.manual_seed(0)
    counts = [3, 0, 2]
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    gate_up = torch.randn(3, 8, 6, dtype=torch.float64, requires_grad=True)
    down = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
    wanted = []
    for e, rows in enumerate(x.split(counts)):
        gate, up = (rows @ gate_up[e].T).chunk(2, -1)
        wanted.append((F.silu(gate) * up) @ down[e].T)
    assert torch.allclose(expert_nets(x, gate_up, down, counts), torch.cat(wanted))
    assert torch.autograd.gradcheck(lambda *a: expert_nets(*a, counts), (x, gate_up, down))


def test_mixture_against_every_expert_on_every_token() -> None:
    network = small_network().double()
    mixture = next(network.mixtures())
    x = torch.randn(9, 144, dtype=torch.float64, requires_grad=True)
    mixture.gate.weight.data = mixture.gate.weight.data.float()
    mixture.gate.e_score_correction_bias = mixture.gate.e_score_correction_bias.float()
    ids, weights, counts = mixture.gate(x)
    assert counts.sum() == 18
    dense = torch.zeros(9, 16, dtype=torch.float64).scatter(1, ids, weights.double())
    both = torch.einsum("th,eih->tei", x, mixture.experts.gate_up)
    inner = F.silu(both[..., :56]) * both[..., 56:]
    each = torch.einsum("tei,ehi->teh", inner, mixture.experts.down)
    wanted = torch.einsum("te,teh->th", dense, each) + mixture.shared_experts(x)
    along = torch.randn_like(wanted)
    names = [x, mixture.gate.weight, mixture.experts.gate_up, mixture.experts.down]
    found = torch.autograd.grad((mixture(x) * along).sum(), names)
    expected = torch.autograd.grad((wanted * along).sum(), names)
    assert torch.allclose(mixture(x), wanted, atol=1e-6)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_balance_moves_the_loads() -> None:
    network = small_network()
    gate = next(network.mixtures()).gate.train()
    gate.e_score_correction_bias.zero_()
    x = torch.randn(400, 144) + 0.5

    def spread() -> float:
        gate.load.zero_()
        gate(x)
        return float(gate.load.std() / gate.load.mean())

    before = spread()
    for _ in range(100):
        gate.balance(0.01)
        gate(x)
    assert spread() < 0.3 * before
    assert not gate.eval().e_score_correction_bias.requires_grad


def test_bf16_gradients_point_where_float32_ones_do() -> None:
    # Routers decide otherwise now and then; what is left must point the same way.
    batch = pack(Documents(made_documents()).take(600))
    gradients = []
    for compute in (torch.float32, torch.bfloat16):
        network = small_network(compute)
        losses(network, batch, 0.3).joint.backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, exact in gradients[0].items():
        assert F.cosine_similarity(exact.flatten(), gradients[1][name].flatten(), 0) > 0.9, name
    whole = [torch.cat([g.flatten() for g in each.values()]) for each in gradients]
    assert F.cosine_similarity(*whole, 0) > 0.99


def test_documents_do_not_see_each_other() -> None:
    network = small_network().eval()
    first, second = (next(made_documents(seed)) for seed in (1, 2))
    with torch.inference_mode():
        alone = pack([first])
        both = pack([second, first])
        a = network.hidden(alone.ids, alone.positions, alone.groups)
        b = network.hidden(both.ids, both.positions, both.groups)
    tokens = len(first.ids)
    starts = [i for i, p in enumerate(both.positions.tolist()) if p == 0]
    start = next(i for i in starts if both.ids[i : i + tokens].tolist() == first.ids.tolist())
    assert torch.allclose(a[:tokens], b[start : start + tokens], atol=1e-4)


def test_orthogonalised_matrices_are_nearly_so() -> None:
    torch.manual_seed(0)
    for shape in ((3, 24, 40), (3, 40, 24)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
        assert values.min() > 0.5
        assert values.max() < 1.4
