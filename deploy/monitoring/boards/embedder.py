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
        "Embedding of photos and texts: rates, durations, queues, and health of Triton.",
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
            "Photos and texts embedded per second.",
            "ops",
            rates("sightline_embedded_total", "@", "model"),
        ),
        graph(
            "Time of stages",
            "95th percentile of the time in each stage: fetch, intake (decoding), infer (Triton).",
            "s",
            slowest("sightline_stage_seconds", '@, service="embedder"', "stage"),
        ),
        graph(
            "Cache hits",
            "Share of looked-up photos whose vector was in the cache or in progress.",
            "percentunit",
            PanelQuery(
                'sum(rate(sightline_embedding_cache_total{@, found!="miss"}[$__rate_interval]))'
                " / sum(rate(sightline_embedding_cache_total{@}[$__rate_interval]))",
                "known",
            ),
            most=1.0,
        ),
        graph(
            "Rows per inference",
            "Average number of photo views or texts per inference. Larger batches are cheaper, but wait longer.",
            "short",
            PanelQuery(
                "sum by (model) (rate(sightline_inference_rows_sum{@}[$__rate_interval]))"
                " / sum by (model) (rate(sightline_inference_rows_count{@}[$__rate_interval]))",
                "{{model}}",
            ),
        ),
        graph(
            "Photos that can't be decoded",
            "Items per second on which a decoder crashed, exceeded its time or ran out of memory. "
            "Causes are broken photos and attacks.",
            "ops",
            rare(rates("sightline_decoding_failures_total", "@", "kind")),
        ),
        graph(
            "Retried inferences",
            "Retried inferences, reloaded models, and rejected answers that belong to another "
            "request, per second. 0 is normal.",
            "ops",
            rare(rates("sightline_triton_retries_total", "@", "model", legend="again {{model}}")),
            rare(
                rates(
                    "sightline_triton_recoveries_total",
                    "@",
                    "outcome",
                    legend="reloaded: {{outcome}}",
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
            "Responding models",
            "Share of the embedders whose last call of the model was answered.",
            "percentunit",
            PanelQuery("avg(sightline_triton_up{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Ready spaces",
            "Share of the versions of spaces that answered the last check.",
            "percentunit",
            PanelQuery("avg(sightline_space_ready{@})"),
            base=RED,
            limits={1.0: GREEN},
        ),
        number(
            "Memory of the cache",
            "Memory of cached embeddings, summed over embedders.",
            "bytes",
            PanelQuery("sum(sightline_embedding_cache_bytes{@})"),
        ),
    )


def _triton() -> PanelRow:
    return PanelRow(
        "Triton",
        (
            graph(
                "Queued requests",
                "Requests waiting in Triton. If more than a few wait for long, add instances, "
                "GPUs or pods. Autoscaling uses this signal.",
                "short",
                PanelQuery("sum by (model) (nv_inference_pending_request_count{@})", "{{model}}"),
            ),
            graph(
                "Time in Triton's queue",
                "Average waiting time of a request.",
                "s",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_queue_duration_us{@}[$__rate_interval])) / 1e6"
                    f" / ({DONE} > 0)",
                    "{{model}}",
                ),
            ),
            graph(
                "Compute time",
                "Average computing time of a request.",
                "s",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_compute_infer_duration_us{@}[$__rate_interval])) / 1e6"
                    f" / ({DONE} > 0)",
                    "{{model}}",
                ),
            ),
            graph(
                "Requests answered",
                "Requests per second that Triton answered, by model.",
                "reqps",
                PanelQuery(DONE, "{{model}}"),
            ),
            graph(
                "Requests failed",
                "Failed requests per second, by model.",
                "reqps",
                PanelQuery(
                    "sum by (model) (rate(nv_inference_request_failure{@}[$__rate_interval]))",
                    "{{model}}",
                ),
                limits={0.001: RED},
            ),
            graph(
                "Rows per batch",
                "Average number of rows per batch.",
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
                "Share of the time in which each of Triton's GPUs computes.",
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
                "Power of each GPU. A busy GPU is near its limit.",
                "watt",
                PanelQuery("nv_gpu_power_usage{@}", "{{gpu_uuid}}"),
            ),
        ),
    )
