"""Scripts with the peers' interfaces that train next to nothing."""

_TRAINING = """
import os
import sys
with open(sys.argv[0]) as f:
    code = f.read()
from math import ceil
import torch
from torch import nn
import torch.nn.functional as F
import torchvision
import torchvision.transforms as T

CALLS = []

class CifarLoader:
    def __init__(self, train, batch_size):
        path = os.path.join("cifar10", "train.pt" if train else "test.pt")
        data = torch.load(path, map_location=torch.device("cuda"))
        self.images, self.labels, self.classes = data["images"], data["labels"], data["classes"]
        self.images = (self.images.half() / 255).permute(0, 3, 1, 2)
        self.normalize = T.Normalize(torch.tensor((0.5, 0.5, 0.5)), torch.tensor((0.25, 0.25, 0.25)))
        self.batch_size = batch_size
    def __len__(self):
        return len(self.images) // self.batch_size

class CifarNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 10)
        for mod in self.modules():
            mod.half()
    def cuda(self):
        return self
    def compile(self, mode):
        CALLS.append(mode)
    def reset(self):
        self.head.reset_parameters()
    def forward(self, x):
        return self.head(x.mean((2, 3)))

def print_training_details(variables, is_final_entry):
    raise AssertionError("the recorder stands here")

@torch.compile
def zeropower_via_newtonschulz5(G):
    X = G.bfloat16()
    return X

def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return (model(loader.normalize(loader.images)).argmax(1) == loader.labels).float().mean().item()
"""

AIRBENCH94 = (
    _TRAINING
    + """
def main(run, model):
    CALLS.append(run)
    batch_size = 2000
    train_loader, test_loader = CifarLoader(True, batch_size), CifarLoader(False, 2000)
    total_train_steps = ceil(8 * len(train_loader))
    starter = torch.cuda.Event(enable_timing=True)
    ender = torch.cuda.Event(enable_timing=True)
    time_seconds = 0.0
    def stop_timer():
        ender.record()
        torch.cuda.synchronize()
        nonlocal time_seconds
        time_seconds += 1e-3 * starter.elapsed_time(ender)
    model.reset()
    starter.record()
    for step in range(total_train_steps):
        some = slice(step % len(train_loader) * batch_size, (step % len(train_loader) + 1) * batch_size)
        loss = F.cross_entropy(model(train_loader.normalize(train_loader.images[some])), train_loader.labels[some])
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= zeropower_via_newtonschulz5(p.grad).to(p.dtype)
        model.zero_grad()
    stop_timer()
    print_training_details(locals(), is_final_entry=False)
    starter.record()
    tta_val_acc = accuracy(model, test_loader)
    stop_timer()
    print_training_details(locals(), is_final_entry=True)
    return tta_val_acc

if __name__ == "__main__":
    raise AssertionError("a driver doesn't run this")
"""
)
"""What the port replaces is all there; the logic is a linear classifier of an image's mean colour."""


def without_gpu(script: str) -> str:
    """The same script for drivers that change nothing, where there is no GPU."""
    return (
        script.replace('map_location=torch.device("cuda")', 'map_location="cpu"')
        .replace("@torch.compile\n", "")
        .replace("torch.cuda.synchronize()", "pass")
        .replace("torch.cuda.Event(enable_timing=True)", "Event()")
        .replace("mod.half()", "mod.float()")
        .replace("self.images.half()", "self.images.float()")
        .replace("batch_size = 2000", "batch_size = 64")
        .replace(
            "CALLS = []",
            "CALLS = []\nclass Event:\n    def record(self): pass\n    def elapsed_time(self, other): return 500.0",
        )
    )


HIVERGE = """
import torch
from torch import nn
DRAWN = []
class CifarNet(nn.Linear):
    def __init__(self): super().__init__(2, 2)
    def cuda(self): return self
    def compile(self, mode): pass
def print_training_details(variables, is_final_entry): pass
def main(run, model):
    DRAWN.append((run, torch.rand(()).item()))
    data = torch.load("cifar10/test.pt")
    time_seconds = 0.25
    print_training_details(locals(), is_final_entry=True)
    return 0.1, len(data["labels"]) / 100, time_seconds
"""

AIRBENCH96 = """
import torch
from torch import nn
hyp = {"opt": {"train_epochs": 45.0}, "proxy": "proxy", "net": "net"}
SEEN = []
def make_net(name): return nn.Sequential(nn.Linear(2, 2))
def print_training_details(variables, is_final_entry): pass
def main(run, hyp, model_proxy, model_trainbias, model_freezebias):
    frozen = [not model._orig_mod[0].bias.requires_grad for model in (model_proxy, model_trainbias, model_freezebias)]
    SEEN.append((run, hyp["opt"]["train_epochs"], frozen))
    total_time_seconds = 1.0
    for epoch in range(3):
        total_time_seconds += 1.0
        print_training_details(locals(), is_final_entry=False)
    total_time_seconds += 0.5
    print_training_details(locals(), is_final_entry=True)
    return 0.96
"""
