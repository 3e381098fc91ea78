"""`python -m segengine`, so that `torchrun -m segengine run ...` works."""

from segengine.cli.main import main

if __name__ == "__main__":
    main()
