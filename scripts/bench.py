"""How fast musegen decodes, tokenises and writes on this machine, beside other programs, in one run.

    python scripts/bench.py decode [--threads 1,2] [--batches 1,4,16] [--rounds 3]
    python scripts/bench.py quality SHARDS      what 8 bits cost in likelihood, on valid
    python scripts/bench.py length              time a bar over a piece of 256
    python scripts/bench.py tokens FOLDER...    notes a second, from a Score and from files
    python scripts/bench.py songs [--count 1000]    songs a minute by `musegen batch` and `compose -n`
    python scripts/bench.py start               what a call of `musegen compose --bars 8` takes, by parts

Each writes its table to stdout in Markdown and its figures to --json. Programs take turns, --rounds times; a figure is
the median of the rounds. Peers (pip install musegen[bench]; left out where they are missing): Hugging Face generate
with a Llama of the same width, depth, heads and nearly the same number of parameters, midigpt's network with its cache,
both without any musical rules; and our own network in torch without a cache, which is what most programs do.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen import checkpoint
from musegen.compose import Request, load
from musegen.compose.autoregressive import AutoregressiveComposer, Progress
from musegen.decoding.filters import SamplingOptions
from musegen.engine import Decoder, decoder
from musegen.engine.compiled import library
from musegen.errors import MusegenError
from musegen.evaluate.likelihood import Array, Sequences, evaluate
from musegen.score.formats import read, to_bytes
from musegen.score.model import Score
from musegen.shapes import ModelConfig, parameters, preset
from musegen.tokens import Remi
from musegen.tokens.writer import Ids

NEW_TOKENS = 1024
PLAIN = SamplingOptions(min_p=0.01, guidance=1)
UNCACHED_AT = (64, 256, 512, 1024)
"""Lengths at which a step without a cache is timed; between them its time is taken to be straight."""

Figures = dict[str, Any]


def machine() -> Figures:
    """What the figures were made on."""
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    found = library()
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "kernel": found.variant if found else "none",
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def run(*words: str) -> str:
    """What a fresh Python says."""
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)  # noqa: S603  # our own
    return done.stdout


def in_turns(jobs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each job's figure, `rounds` times, all jobs in every round."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())
            print(f"round {number + 1}: {name}: {found[name][-1]:.4g}", file=sys.stderr, flush=True)
    return found


# ---- decode ------------------------------------------------------------------------------------------------------


def shapes() -> dict[str, tuple[ModelConfig, dict[str, npt.NDArray[np.float32]]]]:
    """The composer that ships, and random weights of about 10 million."""
    stored = checkpoint.read("transformer")
    base = preset("base", Remi.vocabulary.size, Remi.attribute_sizes, context=stored.config.context)
    random = np.random.default_rng(0)
    weights = {
        name: (np.ones(shape) if len(shape) == 1 else 0.02 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in parameters(base).items()
    }
    return {"ship": (stored.config, stored.weights), "10M": (base, weights)}


def composing(network: Decoder, batch: int) -> tuple[float, float]:
    """Tokens and notes a second of composing, rules and draws with it, until one of `batch` rows has NEW_TOKENS."""
    composer = AutoregressiveComposer("bench", network, network.config.context, {}, "")
    requests = [Request(bars=256, style="piano", meter=(4, 4), seed=seed, sampling=PLAIN) for seed in range(batch)]
    rows = [composer._begin(request, i) for i, request in enumerate(requests)]  # noqa: SLF001  # stopped half-way
    before = sum(len(row.ids) for row in rows)
    began = time.perf_counter()
    for event in composer._write(rows):  # noqa: SLF001
        if isinstance(event, Progress) and max(len(row.ids) for row in rows) >= NEW_TOKENS:
            break
    seconds = time.perf_counter() - began
    notes = sum(row.state.state.n_notes for row in rows)
    return (sum(len(row.ids) for row in rows) - before) / seconds, notes / seconds


def stepping(network: Decoder, batch: int) -> float:
    """Tokens a second of the network alone."""
    cache = network.new_cache(batch, NEW_TOKENS)
    slots, lines = np.arange(batch), np.arange(batch)
    ids = np.full(batch, 40)
    attributes = np.zeros((batch, len(network.config.attribute_sizes) + 2), np.int64)
    began = time.perf_counter()
    for place in range(NEW_TOKENS):
        network.read(cache, ids, attributes, slots, np.full(batch, place), lines)  # type: ignore[arg-type]
    return batch * NEW_TOKENS / (time.perf_counter() - began)


def hugging_face(config: ModelConfig, batch: int) -> Callable[[], float]:
    """`generate` of a warm Llama of this shape: three matrices of 2/3 our width in its feed-forward layer."""
    import torch

    transformers = import_module("transformers")
    shape = transformers.LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.d_model, intermediate_size=config.d_ff * 2 // 3,
        num_hidden_layers=config.n_layer, num_attention_heads=config.n_head, num_key_value_heads=config.n_kv_head,
        max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(shape).eval()
    prompt = torch.ones((batch, 1), dtype=torch.long)
    options = {"do_sample": True, "min_p": 0.01, "top_k": 0, "min_new_tokens": NEW_TOKENS}

    def once() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(prompt, attention_mask=prompt, max_new_tokens=NEW_TOKENS, **options)
        return batch * NEW_TOKENS / (time.perf_counter() - began)

    return once


def midigpt(config: ModelConfig, batch: int) -> Callable[[], float]:
    """Midigpt's GPT-2 with its cache, and a draw; it decodes one piece at a time."""
    import torch

    gpt2 = import_module("midigpt.inference.model.gpt2")
    shape = gpt2.GPT2Config(config.vocab_size, 2048, config.d_model, config.n_layer, config.n_head)
    model = next(value for key, value in vars(gpt2).items() if key.startswith("GPT2LM"))(shape).eval()

    def once() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(batch):
                token, past = torch.ones((1, 1), dtype=torch.long), None
                for _ in range(NEW_TOKENS):
                    logits, past = model(token, past)[:2]
                    token = torch.multinomial(logits[:, -1].softmax(-1), 1)
        return batch * NEW_TOKENS / (time.perf_counter() - began)

    return once


def uncached(config: ModelConfig, batch: int) -> Callable[[], float]:
    """Our network in torch, the whole piece read for every token; timed at some lengths."""
    import torch

    from musegen.models import build

    model = build(config).eval()

    def once() -> float:
        times = []
        with torch.inference_mode():
            for length in UNCACHED_AT:
                ids = torch.full((batch, length), 40)
                attributes = torch.zeros((batch, length, len(config.attribute_sizes) + 2), dtype=torch.long)
                began = time.perf_counter()
                model(ids, attributes)
                times.append(time.perf_counter() - began)
        return float(batch * NEW_TOKENS / np.trapezoid(np.interp(range(NEW_TOKENS), UNCACHED_AT, times)))

    return once


def bandwidth() -> float:
    """Bytes a second that one thread reads of an array as large as the 8-bit weights."""
    x = np.ones(13_000_000 // 4, np.float32)
    times = []
    for _ in range(30):
        began = time.perf_counter()
        x.dot(x)
        times.append(time.perf_counter() - began)
    return x.nbytes / min(times)


def read_bytes(config: ModelConfig, place: int) -> int:
    """Bytes that a step at this place reads: 8-bit weights, then keys and values."""
    inside = sum(int(np.prod(shape)) for name, shape in parameters(config).items() if name.startswith("blocks."))
    head = config.vocab_size * config.d_model
    return inside + head + 2 * place * config.n_layer * config.n_kv_head * config.d_head


def decode(options: argparse.Namespace) -> Figures:
    """Tokens a second by program, batch and threads."""
    import torch

    result: Figures = {"machine": machine(), "tokens": NEW_TOKENS, "rows": []}
    gc.collect()
    gc.freeze()  # what torch and the peers have loaded is not searched for garbage in anybody's time
    peers = {"transformers": ("Hugging Face generate", hugging_face), "midigpt": ("midigpt's network", midigpt)}
    for name, (config, weights) in shapes().items():
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            network = decoder(config, weights, threads=threads)
            for batch in map(int, options.batches.split(",")):
                notes: list[float] = []

                def whole(network: Decoder = network, batch: int = batch, notes: list[float] = notes) -> float:
                    tokens, found = composing(network, batch)
                    notes.append(found)
                    return tokens

                jobs: dict[str, Callable[[], float]] = {
                    "musegen, composing": whole,
                    "musegen, network alone": lambda network=network, batch=batch: stepping(network, batch),  # type: ignore[misc]
                }
                for module, (label, make) in peers.items():
                    if find_spec(module) and (module != "midigpt" or batch == 1):
                        jobs[label] = make(config, batch)
                if batch == 1:
                    jobs["no cache"] = uncached(config, batch)
                figures = in_turns(jobs, options.rounds)
                for label, values in figures.items():
                    row = {"shape": name, "threads": threads, "batch": batch, "program": label, "tokens": values}
                    if label == "musegen, composing":
                        row["notes"] = notes
                    result["rows"].append(row)
                steps = network_bound(config) if batch == 1 else None
                if steps:
                    result.setdefault("bound", {})[name] = steps
    return result


def network_bound(config: ModelConfig) -> float:
    """Tokens a second of one thread that does nothing but read what a step needs, half-way through NEW_TOKENS."""
    return bandwidth() / read_bytes(config, NEW_TOKENS // 2)


def table_of_decode(result: Figures) -> Iterator[str]:
    """A line each of shape, threads and batch."""
    rows = result["rows"]
    labels = list(dict.fromkeys(row["program"] for row in rows))
    yield "| network | threads | batch | " + " | ".join(labels) + " | against Hugging Face |"
    yield "|---|---:|---:|" + "---:|" * (len(labels) + 1)
    for key in dict.fromkeys((row["shape"], row["threads"], row["batch"]) for row in rows):
        same = [row for row in rows if (row["shape"], row["threads"], row["batch"]) == key]
        mine = {row["program"]: statistics.median(row["tokens"]) for row in same}
        cells = [f"{mine[label]:,.0f}" if label in mine else "" for label in labels]
        peer = mine.get("Hugging Face generate")
        ratio = f"{mine['musegen, composing'] / peer:.1f}" if peer else ""
        yield "| " + " | ".join([*map(str, key), *cells, ratio]) + " |"


# ---- quality -----------------------------------------------------------------------------------------------------


def scorer(network: Decoder) -> Callable[[Sequences], list[Array]]:
    """The decoder as musegen.evaluate.likelihood asks for a model."""

    def score(sequences: Sequences) -> list[Array]:
        losses = []
        for ids, attributes in sequences:
            every = np.arange(len(ids))
            cache = network.new_cache(1, len(ids))
            logits = network.read(cache, ids, attributes, np.zeros(len(ids), np.int64), every, every).astype(np.float64)  # type: ignore[arg-type]
            logits -= logits.max(axis=-1, keepdims=True)
            chosen = logits[every[:-1], ids[1:].astype(np.int64)]
            losses.append(np.log(np.exp(logits[:-1]).sum(axis=-1)) - chosen)
        return losses

    return score


def quality(options: argparse.Namespace) -> Figures:
    """Nats a note on valid, in single precision by torch and in 8 bits."""
    import torch

    from musegen.corpus.shards import load_split
    from musegen.train.objective import scorer as exact
    from musegen.train.trainer import steering_pieces

    torch.set_num_threads(1)
    model, _ = checkpoint.load("transformer")
    network, _ = checkpoint.load_decoder("transformer")
    pieces = steering_pieces(load_split(options.shards, "valid", Remi().vocabulary.fingerprint), options.pieces, 1024)
    context = model.config.context
    both = {"single": evaluate(exact(model), pieces, context), "8 bits": evaluate(scorer(network), pieces, context)}
    return {
        "pieces": len(pieces),
        "nats_per_note": {name: {k: v.nats_per_note for k, v in by.items()} for name, by in both.items()},
    }


def table_of_quality(result: Figures) -> Iterator[str]:
    """A line a source."""
    single, eight = result["nats_per_note"].values()
    yield "| source | single precision | 8 bits | difference |\n|---|---:|---:|---:|"
    for name in single:
        yield f"| {name} | {single[name]:.4f} | {eight[name]:.4f} | {100 * (eight[name] / single[name] - 1):+.2f} % |"


# ---- length ------------------------------------------------------------------------------------------------------


def length(options: argparse.Namespace) -> Figures:
    """Milliseconds a token, by eighths of a piece of 256 bars."""
    composer = load("transformer", threads=options.threads_one)
    times, counts = [], []
    last = time.perf_counter()
    request = Request(bars=256, style=options.style, meter=(4, 4), seed=1, sampling=PLAIN)
    row_ids: list[int] = []
    rows = [composer._begin(request, 0)]  # type: ignore[attr-defined]  # noqa: SLF001
    before = len(rows[0].ids)
    for event in composer._write(rows):  # type: ignore[attr-defined]  # noqa: SLF001
        now = time.perf_counter()
        times.append(now - last)
        counts.append(len(rows[0].ids) - before)
        last, before = now, len(rows[0].ids)
        row_ids.append(event.index)
    eighths = np.array_split(np.arange(len(times)), 8)
    return {
        "bars": 256,
        "ms_per_token": [1000 * sum(times[i] for i in part) / max(1, sum(counts[i] for i in part)) for part in eighths],
        "tokens": [sum(counts[i] for i in part) for part in eighths],
        "ms_per_bar": [1000 * sum(times[i] for i in part) / len(part) for part in eighths],
    }


def table_of_length(result: Figures) -> Iterator[str]:
    """A line an eighth."""
    yield "| bars | tokens | ms a token | ms a bar |\n|---|---:|---:|---:|"
    columns = (result["tokens"], result["ms_per_token"], result["ms_per_bar"])
    for i, (tokens, each, bar) in enumerate(zip(*columns, strict=True)):
        yield f"| {32 * i + 1} to {32 * i + 32} | {tokens:,} | {each:.2f} | {bar:.1f} |"


# ---- tokens ------------------------------------------------------------------------------------------------------


def tokens(options: argparse.Namespace) -> Figures:
    """Notes a second of encoding and decoding, from objects and from files."""
    result: Figures = {"machine": machine(), "rows": []}
    tokenizer = Remi()
    theirs = _miditok() if find_spec("miditok") else None
    for folder in options.folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))[: options.files]
        ours = [piece for path in paths if (piece := _encoded(path)) is not None]
        n_notes = sum(score.n_notes for _, score, _ in ours)
        out = Path(tempfile.mkdtemp()) / "x.mid"

        def timed(work: Callable[[], Any], n_notes: int = n_notes) -> Callable[[], float]:
            def once() -> float:
                began = time.perf_counter()
                work()
                return n_notes / (time.perf_counter() - began)

            return once

        jobs = {
            "encode, musegen": timed(lambda: [tokenizer.encode(score) for _, score, _ in ours]),  # noqa: B023
            "decode, musegen": timed(lambda: [tokenizer.decode(ids) for _, _, ids in ours]),  # noqa: B023
            "file to ids, musegen": timed(
                lambda: [tokenizer.encode(read(path, warn=lambda _: None)) for path, _, _ in ours]  # noqa: B023
            ),
            "ids to file, musegen": timed(
                lambda: [out.write_bytes(to_bytes(tokenizer.decode(ids))) for _, _, ids in ours]  # noqa: B023
            ),
        }
        if theirs is not None:
            symusic = import_module("symusic")
            scores = [symusic.Score(str(path)) for path, _, _ in ours]
            encoded = [theirs.encode(score) for score in scores]
            jobs |= {
                "encode, MidiTok": timed(lambda: [theirs.encode(score) for score in scores]),  # noqa: B023
                "decode, MidiTok": timed(lambda: [theirs.decode(ids) for ids in encoded]),  # noqa: B023
                "file to ids, MidiTok": timed(lambda: [theirs.encode(symusic.Score(str(p))) for p, _, _ in ours]),  # noqa: B023
                "ids to file, MidiTok": timed(lambda: [theirs.decode(ids).dump_midi(out) for ids in encoded]),  # noqa: B023
            }
        for label, values in in_turns(jobs, options.rounds).items():
            work, program = label.split(", ")
            result["rows"].append({"folder": folder.name, "work": work, "program": program, "notes": values,
                                   "files": len(ours), "n_notes": n_notes})  # fmt: skip
    return result


def _encoded(path: Path) -> tuple[Path, Score, Ids] | None:
    """A file, its piece and its ids; None for what cannot be read or written as tokens."""
    try:
        score = read(path, warn=lambda _: None)
        return path, score, Remi().encode(score)
    except MusegenError:
        return None


def _miditok() -> Any:
    """REMI with 12 steps a quarter, one stream for all programs; not trained on anything, so no pairs are merged."""
    miditok = import_module("miditok")
    config = miditok.TokenizerConfig(
        beat_res={(0, 8): 12}, num_velocities=32, use_programs=True, one_token_stream_for_programs=True,
        use_time_signatures=True, use_tempos=True,
    )  # fmt: skip
    return miditok.REMI(config)


def table_of_tokens(result: Figures) -> Iterator[str]:
    """A line a folder and work."""
    yield "| folder | work | musegen, notes a second | MidiTok REMI | ratio |\n|---|---|---:|---:|---:|"
    rows = {(r["folder"], r["work"], r["program"]): statistics.median(r["notes"]) for r in result["rows"]}
    for folder, work in dict.fromkeys((key[0], key[1]) for key in rows):
        mine, peer = rows[folder, work, "musegen"], rows.get((folder, work, "MidiTok"))
        cells = [f"{peer:,.0f}", f"{mine / peer:.1f}"] if peer else ["", ""]
        yield f"| {folder} | {work} | {mine:,.0f} | " + " | ".join(cells) + " |"


# ---- songs -------------------------------------------------------------------------------------------------------


def songs(options: argparse.Namespace) -> Figures:
    """Songs a minute and peak memory of whole commands."""
    result: Figures = {"machine": machine(), "count": options.count, "style": options.style, "rows": []}
    common = ["--style", options.style, "--bars", "16", "--seed", "1"]
    calls = {
        "batch --workers 2": ["batch", "--count", str(options.count), "--workers", "2"],
        "batch --workers 1": ["batch", "--count", str(options.count), "--workers", "1"],
        "compose -n": ["compose", "-n", str(options.count)],
    }
    digests = set()
    for label, call in calls.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "songs"
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            began = time.perf_counter()
            folder_given = str(out) + "/" * (call[0] == "compose")
            run("-m", "musegen", "--quiet", *call, *common, "-o", folder_given)
            seconds = time.perf_counter() - began
            files = sorted(out.glob("*.mid"))
            if call[0] == "batch":
                digests.add(hash(tuple(path.read_bytes() for path in files)))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            result["rows"].append({"call": label, "seconds": seconds, "songs": len(files),
                                   "peak_mb": max(before, peak) / 1024})  # fmt: skip
            print(result["rows"][-1], file=sys.stderr, flush=True)
    result["same_bytes"] = len(digests) == 1
    return result


def table_of_songs(result: Figures) -> Iterator[str]:
    """A line a call."""
    yield "| call | songs | seconds | songs a minute |\n|---|---:|---:|---:|"
    for row in result["rows"]:
        rate = 60 * row["songs"] / row["seconds"]
        yield f"| {row['call']} | {row['songs']:,} | {row['seconds']:.0f} | {rate:,.0f} |"
    yield f"\nThe largest process took {result['rows'][-1]['peak_mb']:.0f} MB; same bytes: {result['same_bytes']}."


# ---- start -------------------------------------------------------------------------------------------------------

PARTS = """
import time; t = [time.perf_counter()]
from musegen.compose import Request, load; t.append(time.perf_counter())
composer = load("transformer"); t.append(time.perf_counter())
[score] = composer.compose([Request(bars=8, style="folk", seed=1)]); t.append(time.perf_counter())
from musegen.score.formats import to_bytes; to_bytes(score); t.append(time.perf_counter())
print(*(b - a for a, b in zip(t, t[1:])))
"""


def start(options: argparse.Namespace) -> Figures:
    """Seconds of whole calls, and of their parts in a fresh process."""

    def call(*words: str) -> float:
        began = time.perf_counter()
        run(*words)
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        frame = ["--style", "folk", "--bars", "8", "--seed", "1"]
        song = ["-m", "musegen", "compose", *frame, "--force", "-o", f"{folder}/x.mid"]
        jobs = {
            "python -c pass": lambda: call("-c", "pass"),
            "musegen --help": lambda: call("-m", "musegen", "--help"),
            "musegen compose --bars 8": lambda: call(*song),
        }
        calls = in_turns(jobs, options.rounds)
        parts = [[float(word) for word in run("-c", PARTS).split()] for _ in range(options.rounds)]
    named = dict(zip(("imports", "load", "compose", "write"), map(list, zip(*parts, strict=True)), strict=True))
    return {"machine": machine(), "seconds": calls, "parts": named}


def table_of_start(result: Figures) -> Iterator[str]:
    """A line a call, then a line a part."""
    yield "| call | seconds |\n|---|---:|"
    for name, values in {**result["seconds"], **{f"of compose: {k}": v for k, v in result["parts"].items()}}.items():
        yield f"| {name} | {statistics.median(values):.3f} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name, function in (("decode", decode), ("quality", quality), ("length", length), ("tokens", tokens),
                           ("songs", songs), ("start", start)):  # fmt: skip
        kind = kinds.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        kind.add_argument("--json", type=Path, help="write the figures there")
        kind.add_argument("--rounds", type=int, default=3)
        if name == "decode":
            kind.add_argument("--threads", default="1,2")
            kind.add_argument("--batches", default="1,4,16")
        if name == "quality":
            kind.add_argument("shards", type=Path)
            kind.add_argument("--pieces", type=int, default=8, help="of each source (default 8)")
        if name == "tokens":
            kind.add_argument("folders", type=Path, nargs="+")
            kind.add_argument("--files", type=int, default=500)
        if name == "length":
            kind.add_argument("--threads-one", type=int, default=1, help="threads (default 1)")
        if name in ("length", "songs"):
            kind.add_argument("--style", default="folk")
        if name == "songs":
            kind.add_argument("--count", type=int, default=1000)
    options = parser.parse_args(arguments)
    result = globals()[options.kind](options)
    print("\n".join(globals()[f"table_of_{options.kind}"](result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
