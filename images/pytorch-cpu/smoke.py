"""PyTorch is the build for processors, learns, and its events are readable."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

assert torch.version.cuda is None, "this is the build with CUDA"
torch.manual_seed(0)
x = torch.linspace(-1, 1, 64).unsqueeze(1)
model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
first = last = float("nan")
for step in range(200):
    loss = torch.nn.functional.mse_loss(model(x), x**2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    last = loss.item()
    first = last if step == 0 else first
assert last < first / 10

with tempfile.TemporaryDirectory() as folder:
    with SummaryWriter(folder) as writer:
        writer.add_scalar("loss", last, 1)
    assert list(Path(folder).glob("events.*"))
    torch.save(model.state_dict(), Path(folder) / "model.pt")
    model.load_state_dict(torch.load(Path(folder) / "model.pt", weights_only=True))
print("ok")
