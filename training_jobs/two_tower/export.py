"""Exports the towers as ONNX: the user tower, and the graph that finds the nearest items to a vector.

Retrieval is one product with all item vectors and a TopK; serving re-scores the result exactly. Above EXACT_ITEMS the
weights are 8-bit (MatMulNBits: a quarter of the memory traffic, which is the bottleneck).
Letters: I items, D width, K rows returned, N queries.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from recommender.domain.models.arrays import Floats

from training_jobs.onnx_models import assert_parity, onnx_bytes, onnx_session
from training_jobs.two_tower.model import UserTower

EXACT_ITEMS = 20_000
RETURNED = 500
OPSET = 17
IR_VERSION = 9


def user_tower_onnx(user: UserTower) -> bytes:
    """`user_tower.onnx`: history (1, L) int64, weights (1, L) float32 -> user_vec (1, D), L free."""
    length = torch.export.Dim("length", min=1, max=65_536)
    return onnx_bytes(
        user,
        (torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, 3)),
        inputs=["history", "weights"],
        outputs=["user_vec"],
        free={"history": {1: length}, "weights": {1: length}},
    )


def retrieval_onnx(item_vectors: Floats, *, returned: int = RETURNED, exact_items: int = EXACT_ITEMS) -> bytes:
    """`retrieval.onnx` over vectors (I, D): q (1, D) -> v (1, K), i (1, K), best first; 8-bit above `exact_items`."""
    count, width = item_vectors.shape
    is_exact = count <= exact_items
    nodes, weights = _exact_product(item_vectors) if is_exact else _eight_bit_product(item_vectors)
    kept = numpy_helper.from_array(np.array([min(returned, count)], np.int64), "k")
    top = helper.make_node("TopK", ["scores", "k"], ["v", "i"], axis=1)
    graph = helper.make_graph(
        [*nodes, top],
        "retrieval",
        [helper.make_tensor_value_info("q", TensorProto.FLOAT, [1, width])],
        [
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, min(returned, count)]),
            helper.make_tensor_value_info("i", TensorProto.INT64, [1, min(returned, count)]),
        ],
        [*weights, kept],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return content


def _exact_product(item_vectors: Floats) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    weights = numpy_helper.from_array(np.ascontiguousarray(item_vectors.T), "items")
    return [helper.make_node("MatMul", ["q", "items"], ["scores"])], [weights]


def _eight_bit_product(item_vectors: Floats) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """One scale an item: w = round(x / max|x| 127) + 128; the implied zero point of 8 bits is 128."""
    count, width = item_vectors.shape
    largest = np.maximum(np.abs(item_vectors).max(axis=1, keepdims=True), 1e-9)  # (I, 1)
    codes = np.clip(np.round(item_vectors / largest * 127.0), -127, 127) + 128
    node = helper.make_node(
        "MatMulNBits",
        ["q", "items", "scales"],
        ["scores"],
        domain="com.microsoft",
        K=width,
        N=count,
        bits=8,
        block_size=width,
        accuracy_level=4,
    )
    return [node], [
        numpy_helper.from_array(codes.astype(np.uint8).reshape(count, 1, width), "items"),
        numpy_helper.from_array((largest.ravel() / 127.0).astype(np.float32), "scales"),
    ]


def retrieval_parity(
    item_vectors: Floats, queries: Floats, *, name: str, returned: int = RETURNED
) -> tuple[bytes, dict[str, float]]:
    """The graph and its metrics: fp32 agrees with numpy, the served form lists the best items for (N, D) queries.

    Raises Conflict where the fp32 form is off.
    """
    content = retrieval_onnx(item_vectors, returned=returned)
    exact = onnx_session(retrieval_onnx(item_vectors, returned=returned, exact_items=len(item_vectors)))
    values = exact.run(["v"], {"q": queries[:1]})[0]  # (1, K)
    expected = np.sort(item_vectors @ queries[0])[::-1][: values.shape[1]][None]
    worst = assert_parity({"v": expected}, {"v": values}, name=name)
    return content, {
        "max_abs_difference": worst,
        "rank_agreement": retrieval_overlap(content, item_vectors, queries),
    }


def retrieval_overlap(content: bytes, item_vectors: Floats, queries: Floats) -> float:
    """Mean share of the exact first 100 among the rows that the graph returns for these (N, D) queries."""
    run = onnx_session(content)
    shares = []
    for query in queries:
        found = run.run(["i"], {"q": query[None]})[0][0]
        exact = np.argsort(-(item_vectors @ query), kind="stable")[:100]
        shares.append(np.isin(exact, found).mean())
    return float(np.mean(shares))
