"""The trainer: one call from a model and a task to a result."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal, overload

from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.config import Configurable
from graphkit.core.constraints import Count, NonNegative, NonNegativeInt, OneOf, Positive, Seed, enforce
from graphkit.tasks import Task
from graphkit.training.callbacks import Callback, Callbacks, FitState, check_callbacks
from graphkit.training.checkpoint import continue_run, fixed_settings
from graphkit.training.compiling import check_options, compiled
from graphkit.training.engine import PRECISIONS, Engine, scales_loss
from graphkit.training.lifecycle import one_at_a_time
from graphkit.training.loggers import Logger, check_logger, log_callbacks, without_repetition
from graphkit.training.loop import Loop
from graphkit.training.optimizers import Optimizers
from graphkit.training.prediction import embed, predict
from graphkit.training.progress import Progress
from graphkit.training.rebuild import description, how_to_rebuild
from graphkit.training.result import Result, result_of
from graphkit.training.run_folder import RunFolder
from graphkit.training.setting_up import configured, initialise, materialise
from graphkit.training.settings import LoopSettings, check_together
from graphkit.training.signed import try_negative_weights
from graphkit.training.strategies import Backprop, Strategy
from graphkit.training.strategies import registry as strategies


def _folder(path: str) -> str | None:
    return None if path else "must name a folder; leave it out to write no files"


class Trainer(Configurable):
    r"""Trains any model on any task with any strategy.

    Every epoch (or every so many) ends with a validation; at the end the weights of the best one are put back, unless
    ``restore_best=False``.
    Test labels are read once, after that.

    **Seeds.** ``fit`` seeds all generators and draws new initial weights, so the same seed gives bit-equal results on
    the CPU, whatever happened to the model before (scikit-learn's rule), with the same number of threads
    (``torch.set_num_threads``): torch's dense products and sums over whole tensors round in another order with more
    threads, graphkit's operations on graphs do not. Frozen weights (``requires_grad=False``)
    stay as they are. The generators belong to the process, so
    runs in several of its threads wait for each other, and no other thread may draw from them meanwhile, as building a
    model does; to train in parallel use processes. ``warm_start=True`` keeps the weights that the model comes with.

    **Files.** With ``run_dir`` a run leaves ``config.json``, ``history.csv``, ``checkpoint.pt``, ``model.safetensors``
    (the best weights; again as ``model.pt``, which scripts of older releases read and the next one leaves out unless a
    state dict holds more than dense tensors), ``strategy.pt`` (what the strategy has learned beside them) and
    ``result.json`` there; another process gets model and trainer back by :func:`~graphkit.training.load_run`. A folder
    belongs to one run: it is locked (``run.lock``), and holds at every instant, that of a kill included, files of no
    other. ``fit(..., resume=True)`` continues from the checkpoint, and ends exactly where an uninterrupted run with as
    many threads ends; ``overwrite=True`` replaces the run. Ctrl-C ends it after the current epoch, of events in time
    after the current batch, with a checkpoint.

    Args:
        max_epochs: The largest number of epochs of each phase (default: 200).
        patience: Stop a phase after this many epochs without a better validation (default: never).
        lr: The learning rate, or a dict from name patterns to rates, of which the first that matches counts, e.g.
            ``{"encoder.*": 0.004, "*": 0.002}`` (default: 0.01).
        weight_decay: One number for all parameters, or such a dict; parameters that match nothing get 0 (default: 0).
        optimizer: The name of a class in ``torch.optim`` (default: ``"Adam"``).
        optimizer_kwargs: Its further arguments (default: none).
        scheduler: The name of a class in ``torch.optim.lr_scheduler``, stepped once per epoch; ``ReduceLROnPlateau``
            follows what ``scheduler_monitor`` names, in its direction (default: none).
        scheduler_kwargs: Its arguments (default: none).
        batch_size: The number of graphs per batch of a graph task (default: 32), of links or edges to train on per
            step of such tasks (default: all), or of root nodes per subgraph of a sampled node task (default: the
            sampler's).
        monitor: What decides the best epoch: the validation ``"metric"`` or ``"loss"`` (default: ``"metric"``).
        clip_norm: The largest norm of a gradient (default: no clipping).
        seed: The seed; ``None`` leaves generators and weights alone (default: 0).
        strategy: How weights are trained: a :class:`~graphkit.strategies.Strategy`, its class, or its name (default:
            ``Backprop()``).
        accelerator: ``"auto"``, ``"cpu"`` or ``"cuda"``, also called ``"gpu"`` (default: ``"auto"``).
        devices: The number of devices of each machine; more than one not for node tasks of a whole graph (default: 1).
        num_nodes: The number of machines, each of which runs the same script, e.g. by ``torchrun`` (default: 1).
        precision: Fabric's names: ``"32-true"``, ``"64-true"``, ``"bf16-true"`` for weights and inputs of that
            type, ``"bf16-mixed"``, ``"16-mixed"`` for autocast. Losses and metrics are never computed in 16
            bits; weights of float16 would lose small steps, so ``"16-true"`` is none (default: ``"32-true"``).
        progress: Show a progress bar (default: on a terminal).
        run_dir: The folder of the run's files (default: none are written; ``graphkit train`` makes one in ``runs``).
        loggers: Where epochs are logged: ``"csv"`` (``history.csv``), ``"tensorboard"``, ``"wandb"``, ``"mlflow"`` and
            ``"comet"`` by name, which write into ``run_dir``, and any ``lightning_fabric.loggers.Logger`` (default:
            ``("csv",)`` with a ``run_dir``, else none).
        checkpoint_seconds: The least time between two checkpoints, which are written after epochs, of events in time
            after batches, too (default: 1).
        warm_start: Whether to keep the model's weights instead of drawing new ones (default: ``False``).
        validate_every: Validate after every so many epochs; ``patience`` still counts epochs (default: 1).
        scheduler_monitor: What a plateau is seen in: the validation ``"metric"`` or ``"loss"``, or the
            ``"train_loss"`` (default: as ``monitor``).
        restore_best: Whether a phase ends with the weights of its best validation, not those of its last epoch
            (default: ``True``).
        callbacks: What hears of the run: :class:`~graphkit.training.Callback` (default: none).
        compile: Whether the model's forward goes through ``torch.compile`` while it trains, or the arguments of that,
            e.g. ``{"dynamic": True}``; for strategies that call the model as a whole (default: ``False``).
        prefetch: How many batches of graphs or subgraphs a thread draws ahead of the one that is used; results are
            bit-equal. Batches that draw from the global generators, as random transforms do, are refused (default: 2
            on a GPU unless they do, else 0).
        accumulate: The number of batches whose gradients are averaged for one step, each batch counting alike; the
            last step of an epoch has those that are left. For strategies that call the model as a whole (default: 1).
        accumulate_lr: How the rate of such a step grows with its batches: ``"linear"`` (with plain SGD the sum of their
            gradients), ``"sqrt"``, or not; ``lr`` in the history is that of one batch (default: ``None``).
        cuda_graph: Whether the step on a whole graph is recorded as a CUDA graph after three epochs and replayed, which
            saves the launches of its kernels one by one; a step that waits for the device is refused, and Python code
            in it runs no more (default: ``False``).

    Raises:
        ValueError: If a value is out of range or a name unknown.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN(task.num_features, 16, out_channels=task.num_outputs)
        >>> result = gk.Trainer(max_epochs=20, progress=False).fit(model, task)
        >>> 0 <= result.test <= 1
        True
    """

    def __init__(
        self,
        max_epochs: Count = 200,
        patience: Count | None = None,
        lr: Positive | Mapping[str, Positive] = 0.01,
        weight_decay: NonNegative | Mapping[str, NonNegative] = 0.0,
        optimizer: str = "Adam",
        optimizer_kwargs: Mapping[str, Any] | None = None,
        scheduler: str | None = None,
        scheduler_kwargs: Mapping[str, Any] | None = None,
        batch_size: Count | None = None,
        monitor: Literal["metric", "loss"] = "metric",
        clip_norm: Positive | None = None,
        seed: Seed | None = 0,
        strategy: Strategy | type[Strategy] | str | None = None,
        accelerator: Literal["auto", "cpu", "cuda", "gpu"] = "auto",
        devices: Count = 1,
        num_nodes: Count = 1,
        precision: Annotated[str | int, OneOf(PRECISIONS)] = "32-true",
        progress: bool | None = None,
        run_dir: Annotated[str, _folder] | Path | None = None,
        loggers: Annotated[Sequence[Annotated[str | Logger, check_logger]], without_repetition] | None = None,
        checkpoint_seconds: NonNegative = 1.0,
        warm_start: bool = False,
        validate_every: Count = 1,
        scheduler_monitor: Literal["metric", "loss", "train_loss"] | None = None,
        restore_best: bool = True,
        callbacks: Annotated[Sequence[Callback], check_callbacks] = (),
        compile: bool | Annotated[Mapping[str, Any], check_options] = False,
        prefetch: NonNegativeInt | None = None,
        accumulate: Count = 1,
        accumulate_lr: Literal["linear", "sqrt"] | None = None,
        cuda_graph: bool = False,
    ) -> None:
        self.max_epochs = max_epochs
        self.patience = patience
        self.validate_every = validate_every
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.optimizer_kwargs = optimizer_kwargs
        self.scheduler = scheduler
        self.scheduler_kwargs = scheduler_kwargs
        self.scheduler_monitor = scheduler_monitor
        self.restore_best = restore_best
        self.batch_size = batch_size
        self.monitor = monitor
        self.clip_norm = clip_norm
        self.seed = seed
        if isinstance(strategy, (str, type)):
            strategy = strategies.get(strategy)()
        self.strategy: Strategy = Backprop() if strategy is None else strategy
        self.accelerator = accelerator
        self.devices = devices
        self.num_nodes = num_nodes
        self.precision = precision
        self.progress = progress
        self.run_dir = run_dir
        self.loggers = None if loggers is None else tuple(loggers)
        self.checkpoint_seconds = checkpoint_seconds
        self.warm_start = warm_start
        self.callbacks = tuple(callbacks)
        self.compile = compile
        self.prefetch = prefetch
        self.accumulate, self.accumulate_lr = accumulate, accumulate_lr
        self.cuda_graph = cuda_graph
        check_together(self)
        self.further_files: dict[str, str] = {}  # texts that lie beside config.json, by name
        self._optimizers()  # refuses wrong settings now

    def fit(
        self, model: nn.Module, task: Task, resume: bool = False, overwrite: bool = False, test: bool = True
    ) -> Result:
        """Train a model on a task.

        Args:
            model: A graphkit model, a PyG model, or any module (see :class:`~graphkit.models.PyGModel`). It is trained
                in place and ends with the best weights.
            task: The task.
            resume: Continue from the checkpoint in ``run_dir``; in a folder without a run, start from the beginning
                (default: ``False``).
            overwrite: Replace the run that is in ``run_dir`` (default: ``False``).
            test: Compute test scores and the baseline at the end; without, no test label is read (default: ``True``).

        Raises:
            TypeError: If the model or the strategy does not fit the task.
            ValueError: If shapes do not fit, ``run_dir`` holds a run that is to be neither continued nor replaced, or
                the checkpoint is unreadable or of another run.
            RuntimeError: If another run writes into ``run_dir`` at this time.
            FloatingPointError: If a loss becomes NaN or infinite; names the epoch and the last good checkpoint.
            KeyboardInterrupt: After Ctrl-C; names the epoch and the checkpoint.
        """
        if not isinstance(task, Task):
            raise TypeError(
                f"fit needs a graphkit task, got {type(task).__name__}; use gk.load(name) or gk.NodeTask(...)"
            )
        if not isinstance(model, nn.Module):
            raise TypeError(f"fit: model={model!r}, must be an instance of torch.nn.Module, such as gk.models.GCN(...)")
        enforce(Trainer.fit, {"resume": resume, "overwrite": overwrite, "test": test})
        if self.run_dir is None and (resume or overwrite):
            name = "resume" if resume else "overwrite"
            raise ValueError(f"{name}=True needs run_dir, the folder of the run")
        if resume and overwrite:
            raise ValueError("resume=True continues what is in run_dir, overwrite=True replaces it; choose one")
        if task.stands_for:
            raise ValueError(f"fit: task {task.name!r} stands for one whose data is not here; give that")
        task.loader.check_processes(self.devices * self.num_nodes)  # before any of them starts
        engine = self._engine()
        folder = None if self.run_dir is None else RunFolder(self.run_dir)
        with one_at_a_time(), ExitStack() as stack:
            if folder is not None:
                engine.on_first(lambda: stack.enter_context(folder.opened(resume, overwrite)))
            return self._fit(model, task, engine, folder, resume, test)

    def _fit(
        self, model: nn.Module, task: Task, engine: Engine, folder: RunFolder | None, resume: bool, test: bool
    ) -> Result:
        given = task
        network, task = configured(model, task, self.strategy, engine)
        initialise(network, task, engine, self.batch_size, self.seed, self.warm_start)
        self.strategy.setup(network, task, engine)
        try_negative_weights(network, task, self.strategy, engine, self.batch_size, test)

        config = description(self, network)
        settings = LoopSettings(
            max_epochs=self.max_epochs,
            patience=self.patience,
            monitor=self.monitor,
            scheduler_monitor=self.scheduler_monitor or self.monitor,
            restore_best=self.restore_best,
            validate_every=self.validate_every,
            batch_size=self.batch_size,
            prefetch=self.prefetch,
            seed=self.seed,
            folder=folder,
            checkpoint_seconds=self.checkpoint_seconds,
            cuda_graph=self.cuda_graph,
            fixed={} if folder is None else fixed_settings(config, network, task),
        )
        logs = [] if engine.shard[0] else log_callbacks(self.loggers, None if folder is None else folder.path, config)
        callbacks = Callbacks(self.callbacks, [Progress(self.progress), *logs])
        loop = Loop(network, task, self.strategy, engine, self._optimizers(), settings, callbacks)
        continues = resume and folder is not None and folder.checkpoint.exists()
        if folder is not None:
            if continues:
                continue_run(loop, folder.checkpoint, settings.fixed)
            if folder.is_open:
                described = config | {"task": task.describe(), "rebuild": how_to_rebuild(model, given, self)}
                text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
                folder.begin({"config.json": text, **self.further_files}, continues)
        self._fitted, untrained = network, self.strategy.untrained()
        self._warn_of(
            untrained, "has losses that do not depend on", "they stay as they are, and predictions do not read them"
        )
        early = None if continues else self.strategy.doubt([])
        if early is not None:
            warnings.warn(early, stacklevel=3)
        with callbacks.hear(FitState(self, model, loop)), compiled(network, self.compile):
            loop.run()
            result = result_of(self, network, task, loop, config, test)
            result.keep(self, network, given)
            if folder is not None and folder.is_open:
                folder.finish(model.state_dict(), self.strategy.state_dict(), result)
            callbacks.tell("on_fit_end", result)
        late = self.strategy.doubt(loop.history) if early is None else None
        if late is not None:
            warnings.warn(late, stacklevel=3)
        if not continues:
            left = [name for name in loop.untouched() if name not in untrained]
            self._warn_of(left, "has not changed", "no loss depends on them, or no optimizer has them")
        return result

    @overload
    def predict(self, data: Task, stage: str = "test", as_frame: None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def predict(self, data: Data | Sequence[Data], stage: str | None = "test", as_frame: None = None) -> Tensor: ...
    @overload
    def predict(self, data: Any, stage: str | None = "test", as_frame: bool | None = None) -> Any: ...
    def predict(self, data: Any, stage: str | None = "test", as_frame: bool | None = None) -> Any:
        """What the model of the last :meth:`fit` predicts, by the strategy that trained it.

        No label of what is predicted is read; strategies that show labels to layers show those of training nodes.

        Args:
            data: The task it was trained on, or another one that fits the model, such as one with another split; or a
                graph, several, or a loader of them, without labels, prepared as the task's were (features, rewirings).
                Of these all nodes, edges or graphs are predicted, or the pairs that ``data.edge_label_index``
                ``[2, num_pairs]`` names. Where the task was made of tables, also ``(nodes, edges)``, the folder of
                their files, or networkx graphs.
            stage: Which part of a task: ``"train"``, ``"val"`` or ``"test"``; ``"unlabelled"`` for what has no label in
                it; or ``None`` for the graphs of the task as if they were new ones, be they labelled or not (default:
                ``"test"``).
            as_frame: Return a pandas table with the user's ids of nodes, or of both ends of edges, as index and the
                names of classes: the prediction and the probability of each class; and of a part of a task the label
                (default: ``None``, where tables are given).

        Returns:
            The predictions before any softmax or sigmoid ``[n, num_outputs]``, or scores of pairs ``[n, 1]``, in the
            order of the split or of the graphs; of a part of a task with its labels: ``(prediction, label)``.

        Raises:
            RuntimeError: If nothing has been trained yet, or the strategy has trained another model since.
            ValueError: If a graph is damaged or has another number of features than those trained on.
        """
        enforce(Trainer.predict, {"stage": stage, "as_frame": as_frame})
        return predict(self._trained("predict"), data, stage, self.batch_size, as_frame)

    def embed(self, data: Any, stage: str | None = None, layer: int | Literal["all"] = -1) -> Any:
        """The states of nodes from which :meth:`predict` comes, in evaluation mode.

        Args:
            data: As for :meth:`predict`; pairs need not be named.
            stage: The nodes of which part of a task; of a graph task all nodes of its graphs, of a link task those of
                the graph that carries messages at this stage (default: ``None``, all nodes, with the messages of the
                test).
            layer: After how many layers; 0 is what ``encode`` makes of the features, -1 what ``decode`` reads, and
                ``"all"`` gives a list (default: -1).

        Returns:
            States ``[n, channels]`` of nodes, in the order of the split or of the graphs; or the list of them.

        Raises:
            TypeError: If the model is no :class:`~graphkit.models.LayeredModel`, or its layers were shown labels.
            ValueError: If there is no such layer; and as :meth:`predict`.
        """
        enforce(Trainer.embed, {"stage": stage, "layer": layer})
        return embed(self._trained("embed"), data, stage, layer, self.batch_size)

    def _trained(self, wanted: str) -> Strategy:
        fitted = getattr(self, "_fitted", None)
        if fitted is None:
            raise RuntimeError(f"{wanted} needs a trained model: call fit(model, task) first")
        if self.strategy.model is not fitted:
            raise RuntimeError(f"{wanted}: the strategy has trained another model since; give each trainer its own")
        return self.strategy

    # Parts of fit ------------------------------------------------------------------------------------------------

    def _engine(self) -> Engine:
        steps = (self.accumulate, {"linear": 1.0, "sqrt": 0.5, None: 0.0}[self.accumulate_lr])
        return Engine(self.accelerator, self.devices, self.precision, self.clip_norm, self.num_nodes, *steps)

    def _restore(self, model: nn.Module, task: Task) -> nn.Module:
        """Stand where :meth:`fit` has ended; weights and the strategy's state come later. Returns the network."""
        engine = self._engine()
        network, task = configured(model, task, self.strategy, engine)
        materialise(network, task, engine, self.batch_size)
        self.strategy.setup(network, task, engine)
        self._fitted = network
        return network

    def _warn_of(self, names: list[str], what: str, consequence: str) -> None:
        if names:
            parts = sorted({name.removeprefix("module.").partition(".")[0] for name in names})
            text = (
                f"{type(self.strategy).__name__} {what} the {len(names)} weights of {', '.join(parts)}: {consequence}"
            )
            warnings.warn(text, stacklevel=4)

    def _optimizers(self) -> Optimizers:
        return Optimizers(
            self.lr,
            self.weight_decay,
            self.optimizer,
            self.optimizer_kwargs,
            self.scheduler,
            self.scheduler_kwargs,
            fused=not scales_loss(self.precision),  # Fabric cannot unscale gradients before a fused step
            capturable=self.cuda_graph,
        )
