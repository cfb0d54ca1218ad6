"""The names of datasets by kind of task, which tell type checkers and editors what ``gk.load`` returns."""

from typing import Literal

Node = Literal[
    "actor", "airports-brazil", "airports-europe", "airports-usa", "amazon-computers", "amazon-photo",
    "amazon-ratings", "blogcatalog", "chains", "chameleon-filtered-directed", "chameleon-filtered",
    "chameleon-traffic", "chameleon", "citeseer-full", "citeseer", "coauthor-cs", "coauthor-physics", "communities",
    "cora-full", "cora-ml", "cora", "cornell", "count", "dblp", "facebook-pages", "karate", "minesweeper-official",
    "minesweeper", "ogbn-arxiv", "ogbn-products", "ogbn-proteins", "ppi-homo-sapiens", "pubmed-full",
    "pubmed-structure", "pubmed", "questions", "roman-empire", "routing", "squirrel-filtered-directed",
    "squirrel-filtered", "squirrel-traffic", "squirrel", "texas-4-classes", "texas", "texts", "tolokers", "wikics",
    "wisconsin", "zero-shot",
]  # fmt: skip
Graph = Literal[
    "aids", "bzr", "cexp", "clique-path", "collab", "cox2", "crossed-ring", "csl-official", "csl", "dd", "dhfr",
    "digits-cnns", "digits-mlps", "enzymes", "exp", "gnp-graphs", "gnp-nodes", "gnp-sets", "imdb-binary",
    "imdb-multi", "mutag", "mutagenicity", "nci1", "nci109", "ogbg-molbace", "ogbg-molbbbp", "ogbg-molesol",
    "ogbg-molfreesolv", "ogbg-molhiv-rebuilt", "ogbg-molhiv", "ogbg-molpcba", "peptides-func", "peptides-struct",
    "pna-multitask-graphs", "pna-multitask-nodes", "proteins", "ptc-mr", "qm9-ggnn", "reddit-binary",
    "reddit-multi-5k", "ring-transfer", "second-minimum", "sine-networks", "subgraph-counts", "tree-neighbors-match",
    "tree-transfer", "zinc-rebuilt", "zinc",
]  # fmt: skip
Ranking = Literal["facebook-books", "movielens-100k", "movielens-1m", "planted-interactions", "yahoo-movies"]
Link = Literal[
    "amazon-photo-links", "celegans", "citeseer-full-links", "citeseer-links", "cora-links", "cora-ml-links", "ecoli",
    "karate-links", "ns", "ogbl-collab", "ogbl-ddi", "ogbl-ppa", "pb", "power", "pubmed-full-links", "pubmed-links",
    "router", "usair", "yeast",
]  # fmt: skip
Event = Literal[
    "bitcoin-otc", "collegemsg", "enron", "jodie-lastfm", "jodie-mooc", "jodie-reddit", "jodie-wikipedia",
    "tgbl-enron", "tgbl-lastfm", "tgbl-subreddit", "tgbl-uci", "tgbl-wiki",
]  # fmt: skip
