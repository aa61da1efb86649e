"""The same training on several workers by Ray Train: each takes its share of every batch."""

from __future__ import annotations

from typing import Any

import ray.train
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from training import ray_cluster
from training.trainers.emotion_trainer import Job, run_job


def run_on_ray(job: Job, workers: int) -> None:
    """Train with `workers` processes, one core or GPU each, on the Ray cluster at hand or a local one."""
    ray_cluster.connect()
    gpu = job.device == "cuda"
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(storage_path=str(job.run / "ray")),
    )
    trainer.fit()


def _work(config: dict[str, Any]) -> None:
    context = ray.train.get_context()
    torch.set_num_threads(1)
    run_job(config["job"], context.get_world_rank(), context.get_world_size())
