"""transformers' CLIP on torch, asked by `embed_parts/local.py`. Runs in build/peers/torch.

The argument is a file of weights by transformers' own names.
"""

import json
import sys
import time

import numpy as np
import torch  # type: ignore[import-not-found]  # in its own environment only
from transformers import CLIPConfig, CLIPModel  # type: ignore[import-not-found]  # as above

_PATCH_PX = 16


def main(weights_file: str) -> None:
    """Answer requests until there are no more."""
    model = _load(weights_file)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        given = torch.from_numpy(np.load(request["inputs"]))
        with torch.inference_mode():
            embed = _pictures if request["tower"] == "vision" else _texts
            times_ms = []
            for _ in range(request["runs"]):
                started = time.perf_counter()
                found = embed(model, given)
                times_ms.append(1000 * (time.perf_counter() - started))
        np.save(request["outputs"], found.numpy())
        sys.stdout.write(json.dumps({"times_ms": times_ms}) + "\n")
        sys.stdout.flush()


def _load(weights_file: str) -> CLIPModel:
    config = CLIPConfig(
        vision_config={"patch_size": _PATCH_PX}, text_config={"eos_token_id": 49407, "bos_token_id": 49406}
    )
    model = CLIPModel(config).eval()
    weights = {name: torch.from_numpy(values) for name, values in np.load(weights_file).items()}
    missing, unknown = model.load_state_dict(weights, strict=False)
    # What has no weights of its own: the positions' numbers, and the scale of similarities.
    missing = [name for name in missing if not name.endswith(("position_ids", "logit_scale"))]
    if missing or unknown:
        raise SystemExit(f"weights do not fit: missing {missing}, unknown {unknown}")
    return model


def _pictures(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def _texts(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    return model.text_projection(model.text_model(input_ids=ids).pooler_output)


if __name__ == "__main__":
    main(*sys.argv[1:])
