"""What other libraries call the arguments and commands of this one, for a did-you-mean where no spelling is close."""

from __future__ import annotations

_OTHER_NAMES = {
    "lr": "learning_rate eta step_size",
    "max_epochs": "epochs num_epochs n_epochs nb_epochs",
    "batch_size": "batchsize bs",
    "weight_decay": "wd l2 l2_reg",
    "patience": "early_stopping early_stop early_stopping_rounds",
    "clip_norm": "clip grad_clip gradient_clip_val max_grad_norm",
    "accelerator": "device",
    "devices": "gpus num_gpus ngpus",
    "seed": "random_state random_seed",
    "jobs": "n_jobs",
    "run_dir": "output_dir out_dir save_dir log_dir checkpoint_dir default_root_dir",
    "optimizer": "optim opt",
    "scheduler": "lr_scheduler",
    "hidden_channels": "hidden hidden_dim hidden_size hidden_units hidden_feats n_hidden num_hidden nhid",
    "in_channels": "in_feats in_features in_dim in_size input_dim input_size",
    "out_channels": "out_feats out_features out_dim out_size output_dim output_size num_classes",
    "num_layers": "n_layers nlayers layers depth",
    "heads": "num_heads n_heads nheads",
    "dropout": "drop p drop_rate dropout_rate dropout_prob feat_drop",
    "act": "activation activation_function nonlinearity",
    "norm": "normalization batch_norm batchnorm",
    "readout": "pooling pool global_pool",
    "aggr": "aggregation aggregator aggregator_type",
    "residual": "skip skip_connection",
    "train": "fit",
    "benchmark": "compare comparison",
    "predict": "evaluate eval infer inference",
    "edge_dim": "edge_features edge_feats edge_in_channels",
}
SYNONYMS = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
