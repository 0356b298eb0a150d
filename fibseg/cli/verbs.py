"""The verbs of the command: one line of help and two examples each. No imports, so help is fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb: the pipeline module that tells its story, its help line and its examples."""

    module: str
    summary: str
    examples: tuple[str, str]
    reads: tuple[str, ...] = ()
    """Keys whose stores or model folders must be there before the long import of torch."""
    passes: tuple[str, ...] = ()
    """Keys that are the whole config of the verb of their name, for those that `steps` has."""


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "",
        "the whole walk on the built-in phantom, a few minutes on 2 CPU cores",
        ("fibseg demo", "fibseg demo out=/tmp/try-fibseg"),
    ),
    "phantom": Verb(
        "phantom",
        "write a synthetic FIB-SEM cell: image stack, sparse paint and exact truth",
        ("fibseg phantom out=sample", "fibseg phantom out=small shape=[48,128,128] seed=7"),
    ),
    "import": Verb(
        "ingest",
        "stream images, labels or painted planes into an OME-Zarr store",
        (
            "fibseg import source=scan/ volume=cell.ome.zarr spacing=[20,20,20] polarity=dark",
            "fibseg import source=paint.tif volume=cell.ome.zarr kind=annotation name=mitochondria",
        ),
    ),
    "check": Verb(
        "check",
        "what is in a store: shape, spacing, intensities, painted planes, warnings",
        ("fibseg check volume=cell.ome.zarr", "fibseg check volume='my cell (2).ome.zarr'"),
        reads=("volume",),
    ),
    "verify": Verb(
        "verify",
        "read everything in a store again: missing, damaged, changed or stale, box by box",
        ("fibseg verify volume=cell.ome.zarr", "fibseg verify volume=cell.ome.zarr blocks=serial"),
        # Not in `reads`: a damaged store, which could not be opened, is what this is for.
    ),
    "paint": Verb(
        "paint",
        "write every so many planes with masks to paint in Fiji or napari and to import back",
        (
            "fibseg paint volume=cell.ome.zarr name=mitochondria every=10 out=paint",
            "fibseg paint volume=cell.ome.zarr name=cell classes=[nucleus,golgi] planes=[40,90] "
            "out=paint",
        ),
        reads=("volume",),
    ),
    "train": Verb(
        "train",
        "train a 2D U-Net on sparsely painted planes",
        (
            "fibseg train experiment=mitochondria volume=cell.ome.zarr annotation=mitochondria "
            "out=models/mitochondria",
            "fibseg train volume=[a.ome.zarr,b.ome.zarr] annotation=nucleus out=models/nucleus "
            "data.split=boxes trainer.max_time=00:00:20:00",
        ),
        reads=("volume",),
    ),
    "suggest": Verb(
        "suggest",
        "what to paint next: planes and regions where a model is unsure, its prediction as a start",
        (
            "fibseg suggest model=models/mitochondria volume=cell.ome.zarr n=5 out=paint-next",
            "fibseg suggest model=models/mitochondria volume=other.ome.zarr n=3 n_regions=6 "
            "region_nm=1000 gap_nm=200 out=paint-other",
        ),
        reads=("model", "volume"),
    ),
    "sweep": Verb(
        "sweep",
        "try settings of a training: the best as an experiment, its gain on planes no trial saw",
        (
            "fibseg sweep experiment=mitochondria volume=cell.ome.zarr annotation=mitochondria "
            "out=sweep n_trials=20 space=default",
            "fibseg sweep volume=cell.ome.zarr annotation=nucleus out=sweep n_workers=2 "
            "space.trainer.learning_rate.high=0.1 space.data=null trainer.max_time=00:00:02:00",
        ),
        reads=("volume",),
    ),
    "infer": Verb(
        "infer",
        "run a model over a whole volume: probabilities, objects and their table",
        (
            "fibseg infer model=models/mitochondria volume=cell.ome.zarr name=mitochondria",
            "fibseg infer model=nuclei.czann volume=cell.ome.zarr name=nucleus "
            "postprocess=nucleus",
        ),
        reads=("model", "volume"),
    ),
    "classify": Verb(
        "classify",
        "tell cell from resin, or the like, from a few painted voxels: a forest, then as infer",
        (
            "fibseg classify volume=cell.ome.zarr annotation=cell name=cell precision_nm=40",
            "fibseg classify volume=other.ome.zarr model=cell.models/cell name=cell",
        ),
        # The model is a forest, which infer's own look would take for a broken network.
        reads=("volume",),
    ),
    "objects": Verb(
        "objects",
        "clean up again, from stored probabilities to numbered objects and their table",
        (
            "fibseg objects volume=cell.ome.zarr name=mitochondria "
            "postprocess.closing.radius_nm=40",
            "fibseg objects volume=cell.ome.zarr name=nucleus postprocess=nucleus",
        ),
        reads=("volume",),
    ),
    "distance": Verb(
        "distance",
        "how far every voxel is from the border of a label image, in nm, negative inside",
        (
            "fibseg distance volume=cell.ome.zarr labels=nucleus max_nm=2000",
            "fibseg distance volume=cell.ome.zarr labels=mitochondria label=[3,7] max_nm=500 "
            "signed=false name=two",
        ),
        reads=("volume",),
    ),
    "measure": Verb(
        "measure",
        "measure objects: shapes, distances, neighbours, classes, correlations, shares of the cell",
        (
            "fibseg measure volume=cell.ome.zarr objects=mitochondria to=[nucleus,cell] "
            "csv=mitochondria.csv",
            "fibseg measure volume=cell.ome.zarr objects=mitochondria to=[nucleus,cell] "
            "classes.rule=thresholds classes.near_um=0.5 classes.far_um=2",
        ),
        reads=("volume",),
    ),
    "distribution": Verb(
        "distribution",
        "how pores lie on the nuclear envelope: density, curvature, sections, pair correlation",
        (
            "fibseg distribution volume=cell.ome.zarr objects=pores on=nucleus",
            "fibseg distribution volume=[a.ome.zarr,b.ome.zarr,c.ome.zarr] objects=pores "
            "out=three-cells",
        ),
        reads=("volume",),
    ),
    "profile": Verb(
        "profile",
        "the whole profile of a cell: classify, clean up, measure and report, from one config",
        (
            "fibseg profile volume=cell.ome.zarr",
            "fibseg profile volume=cell.ome.zarr 'organelles=[mitochondria,er]' "
            "+postprocess@clean.er=default clean.er.closing.radius_nm=40",
        ),
        reads=("volume",),
    ),
    "cohort": Verb(
        "cohort",
        "profile many cells at once, and compare conditions with the cell as the unit",
        (
            "fibseg cohort cells=cells.yaml out=cohort blocks.n_workers=4",
            "fibseg cohort cells=cells.yaml out=cohort steps=[profile,pores] "
            "'profile.organelles=[mitochondria,er]' +postprocess@profile.clean.er=default",
        ),
        passes=("profile", "pores", "distribution"),
    ),
    "pores": Verb(
        "pores",
        "nuclear pores from the image and a nucleus mask, nothing painted, and how they lie",
        (
            "fibseg pores volume=cell.ome.zarr nucleus=nucleus",
            "fibseg pores volume=cell.ome.zarr steps=[pockets] pockets.method=operators keep=all",
        ),
        reads=("volume",),
    ),
    "evaluate": Verb(
        "evaluate",
        "score a model on planes it never saw, compare models, or labels against truth",
        (
            "fibseg evaluate model=models/mitochondria volume=[a.ome.zarr,b.ome.zarr] out=s.json",
            "fibseg evaluate volume=cell.ome.zarr labels=mitochondria truth=truth_mitochondria",
        ),
        reads=("model", "volume"),
    ),
    "report": Verb(
        "report",
        "one self-contained HTML page: cell in 3D, overlays, scatter plots, table, methods text",
        (
            "fibseg report volume=cell.ome.zarr",
            "fibseg report volume=cell.ome.zarr out=figures/cell.html",
        ),
        reads=("volume",),
    ),
    "export": Verb(
        "export",
        "a model as ONNX, CZANN or bioimage.io package, certified; objects for other tools",
        (
            "fibseg export model=models/mitochondria format=all out=travel",
            "fibseg export volume=cell.ome.zarr labels=mitochondria format=stl out=meshes",
        ),
        # Neither is needed always; a model may be of several kinds, each refused in its own words.
        reads=("volume",),
    ),
}

EXIT_CODES = "exit codes: 0 done, 2 usage, 3 partly done, 65 bad data, 75 interrupted and resumable"
