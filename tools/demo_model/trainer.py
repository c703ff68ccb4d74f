"""The training loop that every network shares: data-parallel, resumable at any moment, with a moving average.

A task brings the rest:

    name            the name of its checkpoint and log
    parameters      name to parameter, of all that is trained
    loss(step)      the loss of this process's share of a batch, and metrics to show; randomness from `step` alone
    learning_rate(step), steps, betas, weight_decay
"""

import json
import time

import torch

from . import checkpoint, parallel

CHECKPOINT_SECONDS = 300
LOG_STEPS = 20
AVERAGE_DECAY = 0.998


def train(rank, world, end, make_task, folder):
    """Runs a task to its last step, or until asked to end; the same call again goes on from the last checkpoint."""
    task = make_task(rank, world)
    state = TrainingState(task, folder / f"{task.name}.pt")
    log = Log(folder / f"{task.name}.jsonl", task.steps) if rank == 0 else None
    saved = time.monotonic()
    while state.step < task.steps:
        metrics, ended = advance(task, state, bool(end))
        if log:
            log.add(state, metrics)
        if ended:
            break
        if rank == 0 and time.monotonic() - saved > CHECKPOINT_SECONDS:
            state.save()
            saved = time.monotonic()
    if rank == 0:
        state.save()
        print(f"{task.name}: {state.describe()}", flush=True)


def advance(task, state, end):
    """One step of all processes together: metrics, and whether any process was asked to end."""
    started, busy = time.monotonic(), time.process_time()
    for group in state.optimizer.param_groups:
        group["lr"] = task.learning_rate(state.step)
    loss, metrics = task.loss(state.step)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    values = [float(end), time.process_time() - busy, *metrics.values()]
    ended, busy, *means = parallel.average([parameter.grad for parameter in state.parameters], values)
    torch.nn.utils.clip_grad_norm_(state.parameters, 1.0, foreach=True)
    state.optimizer.step()
    state.advance(time.monotonic() - started, busy)
    return dict(zip(metrics, means)), ended > 0


class TrainingState:
    """Parameters, optimizer, moving average and progress, as the checkpoint holds them."""

    def __init__(self, task, path):
        self.path = path
        self.names = list(task.parameters)
        self.parameters = list(task.parameters.values())
        self.optimizer = torch.optim.AdamW(
            self.parameters, betas=task.betas, weight_decay=task.weight_decay, fused=True
        )
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.progress = {"step": 0, "seconds": 0.0, "cpu_seconds": 0.0}
        if path.exists():
            self.restore(checkpoint.load(path))

    @property
    def step(self):
        return self.progress["step"]

    def restore(self, saved):
        self.progress = saved["progress"]
        self.optimizer.load_state_dict(saved["optimizer"])
        with torch.no_grad():
            for index, name in enumerate(self.names):
                self.parameters[index].copy_(saved["parameters"][name])
                self.average[index].copy_(saved["average"][name])

    def save(self):
        checkpoint.save(
            self.path,
            {
                "progress": self.progress,
                "optimizer": self.optimizer.state_dict(),
                "parameters": dict(zip(self.names, (parameter.detach() for parameter in self.parameters))),
                "average": dict(zip(self.names, self.average)),
            },
        )

    @torch.no_grad()
    def advance(self, seconds, cpu_seconds):
        """Counts a step; `cpu_seconds` is the mean over the processes."""
        self.progress["step"] += 1
        self.progress["seconds"] += seconds
        self.progress["cpu_seconds"] += cpu_seconds
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    def describe(self):
        hours = self.progress["seconds"] / 3600
        return f"{self.step} steps in {hours:.2f} h, {self.progress['cpu_seconds'] / 3600:.2f} h of each core"


class Log:
    """Means over LOG_STEPS steps, printed and appended as JSON lines."""

    def __init__(self, path, steps):
        self.path, self.steps = path, steps
        self.rows, self.start = [], None

    def add(self, state, metrics):
        self.start = self.start or dict(state.progress)
        self.rows.append(metrics)
        if state.step % LOG_STEPS:
            return
        steps = max(1, state.step - self.start["step"])
        row = {name: sum(each[name] for each in self.rows) / len(self.rows) for name in metrics}
        for clock in ("seconds", "cpu_seconds"):
            row[f"{clock}_a_step"] = (state.progress[clock] - self.start[clock]) / steps
        row["hours_left"] = (self.steps - state.step) * row["seconds_a_step"] / 3600
        row = {"step": state.step} | {name: round(value, 4) for name, value in row.items()}
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows, self.start = [], None
