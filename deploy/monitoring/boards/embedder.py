"""The embedder and Triton: photos and texts to vectors."""

from __future__ import annotations

from deploy.monitoring.boards.model import (
    GREEN,
    RED,
    Board,
    Panel,
    PanelQuery,
    PanelRow,
    graph,
    number,
    rare,
    rates,
    slowest,
)
from deploy.monitoring.boards.service import calls, process

DONE = "sum by (model) (rate(nv_inference_request_success{@}[$__rate_interval]))"


def embedder() -> Board:
    """Return the dashboard of the embedder and Triton."""
    return Board(
        "embedder",
        "Sightline / Embedder and Triton",
        "Photos and texts become vectors: how many, how fast, what waits, and whether Triton keeps up.",
        (
            calls("embedder"),
            _work(),
            _triton(),
            _gpus(),
            process("embedder|triton", "embedder and Triton"),
        ),
    )


def _work() -> PanelRow:
    return PanelRow("Embedding", (*_work_over_time(), *_work_now()))


def _work_over_time() -> tuple[Panel, ...]:
    return (
        graph(
            "Embedded by model",
            "Photos and texts a second that got a vector.",
            "ops",
            rates("sightline_embedded_total", "@", "model"),
        ),
        graph(
            "Time of stages",
            "95% of the photos spend at most so long in each stage: fetch, intake (decoding), infer (Triton).",
            "s",
            slowest("sightline_stage_seconds", '@, service="embedder"', "stage"),
        ),
        graph(
            "Photos already known",
            "Share of photos that were looked up and had a vector in the cache, or were under way.",
            "percentunit",
            PanelQuery(
                'sum(rate(sightline_embedding_cache_total{@, found!="miss"}[$__rate_interval]))'
                " / sum(rate(sightline_embedding_cache_total{@}[$__rate_interval]))",
                "known",
            ),
            most=1.0,
        ),
        graph(
            "Rows in an inference",
            "Photos' views or texts that go to Triton together, on average. More is cheaper, and waits longer.",
            "short",
            PanelQuery(
                "sum by (model) (rate(sightline_inference_rows_sum{@}[$__rate_interval]))"
                " / sum by (model) (rate(sightline_inference_rows_count{@}[$__rate_interval]))",
                "{{model}}",
            ),
        ),
        graph(
            "Photos that can't be decoded",
            "Items a second that a decoder crashed on, took too long for or ran out of memory with. Broken photos "
            "and attacks look like this.",
            "ops",
            rare(rates("sightline_decoding_failures_total", "@", "kind")),
        ),
        graph(
            "Inferences tried again",
            "Inferences a second that were sent again, models that were loaded anew, and answers that were refused "
            "because they belong to no request. 0 is normal.",
            "ops",
            rare(rates("sightline_triton_retries_total", "@", "model", legend="again {{model}}")),
            rare(
                rates(
                    "sightline_triton_recoveries_total",
                    "@",
                    "outcome",
                    legend="loaded anew: {{outcome}}",
                )
            ),
            rare(rates("sightline_triton_stray_answers_total", "@", legend="refused answers")),
        ),
    )


def _work_now() -> tuple[Panel, ...]:
    return (
        number(
            "Triton answers",
            "1 while every embedder reaches Triton.",
            "short",
            PanelQuery("min(sightline_triton_server_up{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Models that answer",
            "Share of the last calls of each model that Triton answered.",
            "percentunit",
            PanelQuery("avg(sightline_triton_up{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Spaces that are ready",
            "Share of the versions of spaces that answered when they were last looked at.",
            "percentunit",
            PanelQuery("avg(sightline_space_ready{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Memory of the cache",
            "Memory that kept embeddings take, of all embedders together.",
            "bytes",
            PanelQuery("sum(sightline_embedding_cache_bytes{@})"),
        ),
    )


def _triton() -> PanelRow:
    return PanelRow(
        "Triton",
        (
            graph(
                "Requests that wait",
                "Requests that Triton holds and does not compute yet. More than a few for long: more instances, GPUs or "
                "pods are needed; this is what it is scaled by.",
                "short",
                PanelQuery("sum by (model) (nv_inference_pending_request_count{@})", "{{model}}"),
            ),
            graph(
                "Time in Triton's queue",
                "How long a request waits before it is computed, on average.",
                "s",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_queue_duration_us{@}[$__rate_interval])) / 1e6"
                    f" / ({DONE} > 0)",
                    "{{model}}",
                ),
            ),
            graph(
                "Time to compute",
                "How long a request is computed, on average.",
                "s",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_compute_infer_duration_us{@}[$__rate_interval])) / 1e6"
                    f" / ({DONE} > 0)",
                    "{{model}}",
                ),
            ),
            graph(
                "Requests answered",
                "Requests a second that Triton answered, by model.",
                "reqps",
                PanelQuery(DONE, "{{model}}"),
            ),
            graph(
                "Requests failed",
                "Requests a second that Triton failed, by model.",
                "reqps",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_request_failure{@}[$__rate_interval]))",
                    "{{model}}",
                ),
                limits={0.001: RED},
            ),
            graph(
                "Rows in a batch",
                "Rows that Triton computes together, on average.",
                "short",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_count{@}[$__rate_interval]))"
                    " / (sum by (model) (rate(nv_inference_exec_count{@}[$__rate_interval])) > 0)",
                    "{{model}}",
                ),
            ),
        ),
    )


def _gpus() -> PanelRow:
    return PanelRow(
        "GPUs",
        (
            graph(
                "Use of GPUs",
                "Share of the time that each of Triton's GPUs computed something.",
                "percentunit",
                PanelQuery("nv_gpu_utilization{@}", "{{gpu_uuid}}"),
                most=1.0,
            ),
            graph(
                "Memory of GPUs",
                "Share of each GPU's memory that is in use.",
                "percentunit",
                PanelQuery(
                    "nv_gpu_memory_used_bytes{@} / nv_gpu_memory_total_bytes{@}",
                    "{{gpu_uuid}}",
                ),
                most=1.0,
                limits={0.9: RED},
            ),
            graph(
                "Power of GPUs",
                "What each GPU draws. A GPU that is busy draws near its limit.",
                "watt",
                PanelQuery("nv_gpu_power_usage{@}", "{{gpu_uuid}}"),
            ),
        ),
    )
