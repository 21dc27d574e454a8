/* SDL 2, for a window. */
#include <SDL.h>

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return SDL_Init(0);
}
