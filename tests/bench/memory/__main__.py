"""What a step takes, measured and as forecast.

python -m tests.bench.memory            tables, on a CPU: some minutes
python -m tests.bench.memory --cuda     a 3B-shaped model on a GPU, one JSON object a line
"""

from argparse import ArgumentParser

from tests.bench.memory.gpu import SHAPES
from tests.bench.memory.gpu import report as report_gpu
from tests.bench.memory.tables import report_drawn, report_fusion, report_stock

TABLES = {"stock": report_stock, "fusion": report_fusion, "drawn": report_drawn}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TABLES, help="one of the tables")
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--device", default="cuda", help="with --cuda; cpu for a dry run")
    parser.add_argument("--shape", choices=SHAPES, default="3b", help="with --cuda")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="of the chip")
    parser.add_argument("--budget-s", type=float, default=120.0, help="when --cuda stops")
    parser.add_argument(
        "--side", type=int, default=28, help="with --cuda: patches of an image, down and across"
    )
    parser.add_argument(
        "--images", type=int, nargs="+", default=[2, 4, 8, 16, 32], help="with --cuda"
    )
    options = parser.parse_args()
    if options.cuda:
        report_gpu(options)
        return
    for table in [options.only] if options.only else TABLES:
        TABLES[table]()


if __name__ == "__main__":
    main()
