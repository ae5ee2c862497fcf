/* Placeholder until the role exists. */
int main(void)
{
    return 125;
}
