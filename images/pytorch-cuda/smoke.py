"""PyTorch is the build with CUDA, and computes: on a GPU where there is one."""

from __future__ import annotations

import torch
import torchvision

assert torch.version.cuda is not None, "this is the build for processors"
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
pictures = torch.rand(4, 3, 64, 64, device=device)
model = torchvision.models.resnet18(weights=None, num_classes=10).to(device)
loss = torch.nn.functional.cross_entropy(model(pictures), torch.arange(4, device=device))
loss.backward()
assert torch.isfinite(loss)
boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10]], device=device)
scores = torch.tensor([0.9, 0.8], device=device)
assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [0]
print(f"ok, on {device}")
