"""Processes of one thread that train one model together, and how they agree."""

import os
import signal
import socket
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

# At idle priority a process may have to wait for the others for hours.
PATIENCE = timedelta(days=2)


def launch(function, world, *arguments):
    """Runs `function(rank, world, end, *arguments)` in `world` joined processes, `end` being an EndRequest.

    Asked to end, by SIGTERM or SIGINT, it hands that on, waits for the processes, and exits.
    """
    port = free_port()
    context = processes.start_processes(
        enter, (function, world, port, os.getpid(), arguments), nprocs=world, join=False, start_method="spawn"
    )

    asked = []

    def forward(number, _):
        asked.append(number)
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, number)

    handlers = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    while not context.join():
        pass
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if asked:
        sys.exit(128 + asked[0])


def enter(rank, function, world, port, parent, arguments):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=PATIENCE)
    function(rank, world, EndRequest(parent), *arguments)
    dist.destroy_process_group()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class EndRequest:
    """Whether this process was asked to end, or is left alone by the one that started it."""

    def __init__(self, parent):
        self.parent = parent
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.note)

    def note(self, *_):
        self.asked = True

    def __bool__(self):
        return self.asked or os.getppid() != self.parent


def average(tensors, values):
    """Replaces tensors by their mean over all processes; returns the means of the plain numbers `values`."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors] + [torch.tensor(values, dtype=torch.float32)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
    return flat[start:].tolist()
