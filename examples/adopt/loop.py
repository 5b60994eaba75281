"""Period of a pendulum, for several amplitudes."""

import math

import molexp as me


def period(amplitude: float, length: float = 1.0, dt: float = 1e-3) -> float:
    g, t, angle, velocity = 9.81, 0.0, amplitude, 0.0
    while angle > 0:  # a quarter of a period, by velocity Verlet
        velocity -= dt / 2 * g / length * math.sin(angle)
        angle += dt * velocity
        velocity -= dt / 2 * g / length * math.sin(angle)
        t += dt
    print(f"{amplitude} rad: {4 * t:.3f} s")
    return 4 * t


if __name__ == "__main__":
    exp = me.Workspace("lab").Project("pendulum").Experiment("amplitudes")
    exp.sweep(lambda ctx: ctx.set_result("period", period(**ctx.params)), space={"amplitude": [0.5, 1.0, 2.0]})
