"""Period of a pendulum of finite amplitude."""

import argparse
import math
from pathlib import Path

import molexp as me


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Period of a pendulum of finite amplitude.")
    parser.add_argument("--amplitude", type=float, default=0.5, help="in radians")
    parser.add_argument("--length", type=float, default=1.0, help="in metres")
    parser.add_argument("--dt", type=float, default=1e-3, help="time step in seconds")
    parser.add_argument("--output", default="pendulum.csv", help="write times and angles to this file")
    return parser.parse_args()


def main(args: argparse.Namespace) -> float:
    g, t, angle, velocity = 9.81, 0.0, args.amplitude, 0.0
    with Path(args.output).open("w") as file:
        while angle > 0:  # a quarter of a period, by velocity Verlet
            file.write(f"{t:.4f},{angle:.6f}\n")
            velocity -= args.dt / 2 * g / args.length * math.sin(angle)
            angle += args.dt * velocity
            velocity -= args.dt / 2 * g / args.length * math.sin(angle)
            t += args.dt
    print(f"period: {4 * t:.3f} s")
    return 4 * t


if __name__ == "__main__":
    args = parse()
    with me.Workspace("lab").Project("pendulum").Experiment("period").Run(vars(args)).start(capture=True) as ctx:
        ctx.set_result("period", main(args))
        ctx.artifact.save("pendulum.csv", Path(args.output))
